"""Run a benchmark by the name of its file: `python -m benchmarks rmse --data FOLDER`."""

import importlib
import sys
from pathlib import Path


def list_benchmarks() -> list[str]:
    """Return the public modules of this folder, and the packages that have a run.py."""
    folder = Path(__file__).parent
    modules = [path.stem for path in folder.glob("[!_]*.py")]
    packages = [path.parent.name for path in folder.glob("*/run.py")]
    return sorted(modules + packages)


def main() -> int | None:
    names = list_benchmarks()
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        sys.exit(f"Name a benchmark, one of: {', '.join(names)}.")
    exit_code: int | None = importlib.import_module(f"benchmarks.{sys.argv.pop(1)}").main()
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
