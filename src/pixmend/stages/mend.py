"""Mend pictures of your own: any size, with a run or a fill, into a folder with a contact sheet."""

from pixmend.config import Settings
from pixmend.mending.folder import PictureFolder, Result
from pixmend.mending.predicted import write_predicted_pictures


def main(settings: Settings) -> int:
    """Print a line for each picture; return 1 if one could not be mended."""
    if settings.split:
        paths = list(write_predicted_pictures(settings))
        print(f"mended: {len(paths)} {settings.split} images, in {settings.out}")
        return 0
    folder = PictureFolder(settings)
    results = []
    for result in folder.mend_all():
        print(format_result(result), flush=True)
        results.append(result)
    print(f"mended: {sum(not result.failure for result in results)} of {len(results)} pictures, in {folder.out}")
    return int(any(result.failure for result in results))


def format_result(result: Result) -> str:
    if result.failure:
        return f"{result.name}: {result.failure}"
    figures = [f"RMSE {rmse:.5f} {name}" for name, rmse in result.rmse.items()]
    return "  ".join([result.name, f"{result.missing:.1%} missing", *figures])
