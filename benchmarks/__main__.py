"""Finds a benchmark by its file's name: `python -m benchmarks rmse --data FOLDER`."""

import importlib
import sys
from pathlib import Path


def main():
    folder = Path(__file__).parent
    names = sorted(path.stem for path in (*folder.glob("[!_]*.py"), *(run.parent for run in folder.glob("*/run.py"))))
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        sys.exit(f"Name a benchmark, one of: {', '.join(names)}.")
    return importlib.import_module(f"benchmarks.{sys.argv.pop(1)}").main()


if __name__ == "__main__":
    sys.exit(main())
