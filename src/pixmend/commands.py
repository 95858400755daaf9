"""The table of subcommands: what each does, and which groups of flags its help shows."""

from dataclasses import dataclass

PIPELINE = ("common", "download", "augment", "network", "training", "diffusion", "distributed", "prediction",
            "diffusion environment", "submission", "scoring", "submit", "kaggle")


@dataclass(frozen=True)
class Command:
    """A subcommand: the groups of flags that its help shows, and whether its run must exist, or goes on if it exists."""

    summary: str
    shows: tuple[str, ...]
    needs_run: bool = False
    continues_run: bool = True   # whether the settings of a run that exists are taken
    word: str = ""               # what stands before the flags
    note: str = ""               # what its help says besides


# Each also accepts the flags of the pipeline, so that `pixmend train --tta 8` configures a run in one go. A stage refuses a flag
# that contradicts what its run was trained with.
COMMANDS = {
    "configure": Command("Write every setting of a run into its run.toml and print its path.", PIPELINE),
    "download": Command("Download the competition (or make it from photos), check it and unpack it.", ("download", "kaggle")),
    "augment": Command("Decode all images, hold out a part by source, list the augmented training images.", ("augment",)),
    "train": Command("Train the network; a stopped training continues.", ("network", "training", "distributed")),
    "plan": Command("Measure some training steps here, and estimate speed and memory on several devices.",
                    ("plan", "network", "training")),
    "predict": Command("Predict the missing pixels of holdout and test images.",
                       ("prediction", "test set", "diffusion", "diffusion environment"), needs_run=True),
    "serialize": Command("Write the submission and check it against the sample submission.", ("submission",), needs_run=True),
    "score": Command("Score the holdout's file beside the baselines; or any file against a solution.", ("scoring",),
                     needs_run=True),
    "submit": Command("Submit to Kaggle, never the same file twice, and read the score.", ("submit", "kaggle"), needs_run=True),
    "settle": Command("Find out channel order and value scale by scores; without --send say what that costs.",
                      ("send", "submit", "kaggle"), needs_run=True),
    "history": Command("List all submissions of a competition: score, rank, and seconds until the score.", (),
                       continues_run=False),
    "report": Command("Write the report page of all runs of a competition.", (), needs_run=True),
    "sweep": Command("Train a run for each of several values of any training flag.",
                     ("sweep", "network", "training"), continues_run=False),
    "study": Command("Compare optimizers, losses, models, LAMBDA, augmentation or levels with several seeds.",
                     ("study",), continues_run=False, word="NAME",
                     note="Flags of `pixmend train`, such as --steps, hold for all rows. The rows name the runs, not --run."),
    "ensemble": Command("Average the predictions of several runs with weights from the holdout.", ("ensemble",),
                        continues_run=False, note="--run is the name of the mix, and has to be given."),
    "mend": Command("Mend pictures of your own, with a run or with a fill.", ("mend", "prediction"), continues_run=False,
                    word="PICTURE",
                    note="--run is a trained run, or one of others: hub:OWNER/NAME, kaggle:OWNER/MODEL/FRAMEWORK/VARIATION or "
                         "folder:FOLDER. Without it, the fill `photos` mends, or the one that --model names."),
    "serve": Command("Open a local page on which pictures are mended.", ("serve",), continues_run=False),
    "export": Command("Write a trained run as .keras, ONNX and safetensors, with a model card.", (), needs_run=True),
    "publish": Command("Send an exported run to a hub; without --send say what would be sent.", ("publish", "send"),
                       needs_run=True),
    "bundle": Command("Write the winners' archive of a run: code, weights, scripts, requirements, README and summary.", (),
                      needs_run=True),
    "contests": Command("List the competitions in this home: images, runs, best score, disk space.", (), continues_run=False),
    "clean": Command("List the files that can be deleted, and how much that frees; delete them only if asked.", ("clean",),
                     continues_run=False),
    "kernel": Command("Train on Kaggle's GPU and download the results.", ("kernel", "submit", "kaggle")),
    "doctor": Command("Check this machine and the way to Kaggle, and print the next step for what is missing.", ("kaggle",)),
    "completion": Command("Print a completion script for bash and zsh.", (), continues_run=False),
}
