"""Write the tables in benchmarks/results/ again from the stored results, without measuring anything.

    python -m benchmarks tables

ACCELERATOR.md is not among them: it is written by hand from ACCELERATOR.json.
"""

import argparse

from benchmarks import border, contests, growth, locate, mending, pictures, rmse, speed
from benchmarks._measure import RESULTS, read_results
from benchmarks.systems import page

FORMATTERS = {
    "BORDER": border.format_table,
    "CONTESTS": contests.format_page,
    "GROWTH": growth.format_table,
    "LOCATE": locate.format_table,
    "MENDING": mending.format_table,
    "PICTURES": pictures.format_table,
    "RMSE": rmse.format_table,
    "SPEED": speed.format_table,
    "SYSTEMS": page.format_page,
}


def main() -> None:
    argparse.ArgumentParser(prog="python -m benchmarks tables", description=__doc__.splitlines()[0]).parse_args()
    for name in FORMATTERS:
        path = RESULTS / f"{name}.md"
        path.write_text(format_stored_table(name))
        print(path)


def format_stored_table(name: str) -> str:
    """Return the table of a benchmark as its stored results give it."""
    return FORMATTERS[name](read_results(RESULTS / f"{name}.json"))
