"""history.csv: one line for each evaluation, with its scores, the losses of the step before it and the minutes of training."""

import csv
from pathlib import Path

from pixmend.errors import UserError
from pixmend.files import atomic_write, explain_damage
from pixmend.setting_values import format_folder_command


class History:
    """The lines of history.csv in order of step, as text; `writes` is True in the one process that writes the file."""

    def __init__(self, path: Path, writes: bool = True) -> None:
        self.path, self.writes = path, writes
        self.rows: list[dict[str, str]] = []
        self._remedy = f"Train the run again: {format_folder_command('train', path.parent, '--force')}"
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file, explain_damage(path, self._remedy):
                self.rows = list(csv.DictReader(file, restval="", strict=True))
                if writes and not (self.rows and all(map(is_complete, self.rows))):
                    raise ValueError("a line is missing or damaged")

    def drop_after(self, step: int) -> None:
        """Remove what came after the state from which a run continues: it will be evaluated again."""
        rows = [row for row in self.rows if int(row["step"]) <= step]
        if step >= 0 and self.writes and not rows:
            raise UserError(f"{self.path} has no line of a step up to {step}, where training continues. {self._remedy}")
        if rows != self.rows:
            self.rows = rows
            self._write()

    def add(self, **values: float) -> None:
        self.rows.append({name: f"{value:.6g}" if isinstance(value, float) else str(value) for name, value in values.items()})
        self._write()

    def get_last(self, name: str) -> float:
        if not self.rows:
            raise UserError(f"{self.path} is missing. {self._remedy}")
        return float(self.rows[-1][name])

    def count_since_best(self, counts_start: bool = True) -> int:
        """Return the number of evaluations after the one with the lowest RMSE, that before the first step counted or not."""
        errors = [float(row["holdout_rmse"]) for row in self.rows if counts_start or int(row["step"])]
        return len(errors) - 1 - errors.index(min(errors)) if errors else 0

    def _write(self) -> None:
        if not self.writes:
            return
        if not self.rows:
            return self.path.unlink(missing_ok=True)
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        with atomic_write(self.path, "w") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)


def is_complete(row: dict[str, str]) -> bool:
    """Tell whether a line has a step, minutes and an RMSE that can be; what is no number raises an error."""
    return int(row["step"]) >= 0 and float(row["minutes"]) >= 0 and float(row["holdout_rmse"]) >= 0
