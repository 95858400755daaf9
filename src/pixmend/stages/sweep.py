"""Train a run for each of several values of any training flag (--lambda 100,400, --learning-rate 1e-4..1e-3) and compare them."""

from pixmend.config import Settings
from pixmend.errors import UserError
from pixmend.experiments import sweep, sweep_results


def main(settings: Settings) -> None:
    sweep.check_sweep(settings)
    results = sweep.run_sweep(settings)
    print(sweep_results.format_table(results))
    if results["best"] is None:
        raise UserError(f"No trial of {results['study']} was finished; the reasons are listed above. Try other values.")
