"""Predict the missing pixels of holdout and test images with a run's best weights, or find their masks; or a new test set."""

from pixmend import files
from pixmend.config import Settings
from pixmend.mending.new_test_set import predict_test_folder
from pixmend.progress import print_message
from pixmend.training.run_predictions import predict_run


def main(settings: Settings) -> None:
    """Write holdout.npz and test.npz into checkpoints/<competition>/<run>; of a new test set the submission itself."""
    if settings.test_folder:
        print(f"predict: {predict_test_folder(settings)}")
        return
    folder = settings.run_folder
    with files.try_lock(folder):
        up_to_date = predict_run(settings)
    print_message(f"predict: {folder}/holdout.npz and test.npz{' are up to date' if up_to_date else ''}.")
