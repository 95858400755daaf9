"""history.csv: a line for each look at the holdout, with the losses of the step before it and the minutes spent."""

import csv

from pixmend.files import whole_file


class History:
    """Rows in order of step; the file on disk is always whole, and written by one process."""

    def __init__(self, path, writes=True):
        self.path, self.writes, self.rows = path, writes, []
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                self.rows = list(csv.DictReader(file))

    def keep_until(self, step):
        """Forget what came after the state from which the run goes on; it will come again."""
        kept = [row for row in self.rows if int(row["step"]) <= step]
        if kept != self.rows:
            self.rows = kept
            if self.writes:
                self._write()

    def add(self, **figures):
        self.rows.append({name: f"{value:.6g}" if isinstance(value, float) else str(value) for name, value in figures.items()})
        if self.writes:
            self._write()

    def last(self, name):
        return float(self.rows[-1][name])

    def _write(self):
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        with whole_file(self.path, "w") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
