"""Write the run's predictions as submission files, for the test and the holdout, and check the former against the sample."""

from src import contests, files
from src.pictures import predictions, prepared
from src.progress import Bar, say


def main(settings):
    contest, folder = contests.named(settings.contest), settings.run_folder
    with files.only_one(folder):
        ready = prepared.open_for(settings)
        sources = {split: folder / f"{split}.npz" for split in ("test", "holdout")}
        targets = {"test": settings.submissions_folder / f"{settings.run}.csv",
                   "holdout": settings.submissions_folder / f"{settings.run}.holdout.csv"}
        made_from = {"order": settings.channel_order, "scale": settings.value_scale,
                     **{split: files.stamp_or_none(path) for split, path in sources.items()}}
        if not settings.force and files.receipt_holds(folder / "serialize.json", made_from):
            say(f"serialize: {targets['test']} is up to date.")
            return
        entries = {e.id: e for e in contest.read(settings.competition_folder / "files", settings.shape)}
        for split, path in targets.items():
            rows = ready.split(split)
            contest.write(path, [entries[row.id] for row in rows], mended(ready, rows, sources[split]), settings)
        contest.check(targets["test"], settings.competition_folder / "files")
        files.write_receipt(folder / "serialize.json", made_from, targets.values())
    say(f"serialize: {targets['test']} agrees with sample_submission.csv; {targets['holdout']}")


def mended(ready, rows, path):
    """The run's mended pictures, floats in 0..1, one at a time."""
    predicted = predictions.Predictions(path)
    with Bar(f"write the rows of {path.stem}", len(rows)) as bar:
        for row in rows:
            yield predicted.picture(row.id, ready.damaged(row) / 255, ready.hole(row) > 0)
            bar.advance(1, f"{bar.rate():.0f} pictures/s")
