"""The README of a bundle: hardware and versions as recorded, how to train and predict, what is overwritten, what is assumed."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pixmend import competitions, models, run_file
from pixmend.bundling import source
from pixmend.bundling.document import ToFillIn, format_block
from pixmend.bundling.entry_points import PREDICT, PREPARE, TRAIN, is_made_here, repeat_data_flags
from pixmend.bundling.facts import UNKNOWN, Facts
from pixmend.bundling.unpacked import CLEAN, EXTRA, EXTRA_FOLDER, FOLDERS, MODEL, RAW, SETTINGS_FILE, SUBMISSION
from pixmend.competitions.base import Competition

SIMPLE = "simple"   # the name of the simple variant as a run


def format_readme(facts: Facts) -> str:
    settings = facts.settings
    lines = [f"# {settings.run}: a model for {settings.dataset_name}", "",
             f"RMSE on the holdout: {facts.get_rmse()}. `summary.pdf` and `summary.md` describe the model.", "",
             *source.describe_code(facts.record), "",
             *describe_machine(facts), *describe_installation(facts), *describe_use(facts), *describe_simple_variant(facts),
             *describe_side_effects(facts), *describe_assumptions(facts)]
    return "\n".join(lines) + "\n"


def list_lines(texts: Iterable[str]) -> list[str]:
    return [*(f"- {text}" for text in texts), ""]


def describe_machine(facts: Facts) -> list[str]:
    versions = facts.record.get("versions", {})
    rows = {"Processor": facts.describe_hardware(), "Operating system": facts.record.get("hardware", {}).get("system", UNKNOWN),
            **versions, "Training": facts.describe_training_time(),
            "Prediction": facts.describe_prediction_time()}
    return ["## Hardware and versions", "", "As the run recorded them:", "", "| | |", "|---|---|",
            *(f"| {name} | {value} |" for name, value in rows.items()), "",
            format_block(ToFillIn("the accelerator, if one was used, and the memory: the run does not record them.")), ""]


def describe_installation(facts: Facts) -> list[str]:
    python = ".".join(facts.record.get("versions", {}).get("python", "3.11").split(".")[:2])
    lock = source.read_lock(needs_pretrained=facts.needs_pretrained)
    different = source.compare_versions(facts.record, lock)
    note = ("It has no hashes: pixmend was not installed from a checkout." if lock is None else
            f"It has other versions than the run: {', '.join(different)}." if different else
            "Its versions are those that the run recorded, and it has hashes of all packages.")
    if "jax" in facts.record.get("versions", {}):
        note += (f" The environment of the run also had jax {facts.record['versions']['jax']}, on which runs are trained where "
                 "there is an NVIDIA GPU; it is not in this file.")
    return ["## Install", "", f"Linux or macOS with Python {python}:", "", "```bash", f"python{python} -m venv .venv",
            "source .venv/bin/activate", f"pip install -r {source.LOCK}", "```", "",
            f"{note} pixmend itself needs no installation: the scripts use `{source.SOURCE_FOLDER}/`.", ""]


def describe_use(facts: Facts) -> list[str]:
    settings, competition = facts.settings, competitions.get_competition(facts.settings.competition)
    suffix = competition.submission.suffix
    made = is_made_here(settings)
    raw = (f"Put the competition's files, unpacked, into the folder of {RAW} in `{SETTINGS_FILE}` (`{FOLDERS[RAW]}/`)." if
           not made else f"Put the photos of which the competition was made into the folder of {RAW}." if
           settings.photos else f"Nothing has to be put into {RAW}: the competition is made here.")
    without = f"without training. `{PREPARE}` makes the test set" if made else "without training and without the training images"
    return ["## Train", "", raw, "", *describe_extra_folder(facts), "```bash", f"python {PREPARE}", f"python {TRAIN}", "```", "",
            *(["The model is a fill: nothing is trained.", ""] if models.is_fill(facts.run.model) else []),
            "## Predict", "", f"With the weights of this archive, {without}:", "",
            "```bash", *([f"python {PREPARE}"] if made else []), f"python {PREDICT}", "```", "",
            f"**A new test set:** `python {PREDICT} FOLDER`. {describe_test_folder(competition)} If FOLDER has a "
            f"`{competition.submission.sample_name}`, the submission has its order. The submission is "
            f"`{FOLDERS[SUBMISSION]}/{settings.dataset_name}/{settings.run}.new-test-set{suffix}`.", ""]


def describe_extra_folder(facts: Facts) -> list[str]:
    """Return what the reader must add to train a model that saw pictures from elsewhere."""
    extra = facts.describe_extra_pictures()
    if not extra:
        return []
    return [f"The model was also trained on external data: {extra}, which are not in this archive. Put them, under the same "
            f"names, into the folder of {EXTRA} in `{SETTINGS_FILE}` (`{EXTRA_FOLDER}/`). To predict, they are not needed.", "",
            format_block(ToFillIn("where the organisers can get these pictures, and their licence.")), ""]


def describe_test_folder(competition: Competition) -> str:
    return (f"FOLDER has the form of the competition's own files ({competition.slug}), of which only the damaged test images and "
            "the table or masks that say which pixels are missing are read.")


def describe_simple_variant(facts: Facts) -> list[str]:
    """Return the commands of the best fill, and what it scores."""
    home = f"--home {FOLDERS[CLEAN]}"
    data = " ".join(repeat_data_flags(facts.settings)).replace(EXTRA, f'"$PWD/{EXTRA_FOLDER}"')
    return ["## The simple variant", "",
            f"The fill `{facts.baseline}` needs no training. On the same holdout its RMSE is {facts.get_rmse(facts.baseline)}. "
            f"After `python {PREPARE}`:", "", "```bash", f"export PYTHONPATH={source.SOURCE_FOLDER}",
            f"python -m pixmend train {home} --run {SIMPLE} --model {facts.baseline} {data}",
            *(f"python -m pixmend {command} {home} --run {SIMPLE}" for command in ("predict", "serialize", "score")), "```", ""]


def describe_side_effects(facts: Facts) -> list[str]:
    settings = facts.settings
    return ["## What is overwritten", "", *list_lines([
        f"`{PREPARE}` writes into {CLEAN} only, and replaces what it prepared from other files.",
        f"`{TRAIN}` replaces the weights in {MODEL} (`{FOLDERS[MODEL]}/`) by those that it trains. The archive still has the "
        f"weights that were handed in; to keep both, name another {MODEL} in a copy of this folder.",
        f"`{PREDICT}` replaces `{settings.run}.new-test-set` in {SUBMISSION}.",
        f"{CLEAN} gets links `checkpoints` and `submissions` to {MODEL} and {SUBMISSION}.",
        "Nothing is sent anywhere." + describe_downloads(facts)])]


def describe_downloads(facts: Facts) -> str:
    is_pretrained = any(run.trained.get("encoder_weights") == "imagenet" and run.model == "pretrained_unet"
                        and run.trained["encoder"] != "EfficientNetLite0" for run in facts.runs)
    return f" `{TRAIN}` downloads the encoder's ImageNet weights once." if is_pretrained else ""


def describe_assumptions(facts: Facts) -> list[str]:
    settings, written = facts.settings, replace(facts.settings, **run_file.read_used_settings(facts.settings))
    texts = [f"Images have {settings.size} x {settings.size} pixels and are {facts.describe_colours()}; others are refused.",
             "Which pixels are missing is given, and what is damaged looks as in the competition.",
             f"The submission has channel order {written.channel_order} and value scale {written.value_scale}."]
    if facts.is_budget_of_time:
        texts.append("The training was ended by time, not by a number of steps: another one ends at another step, with other "
                     "weights.")
    else:
        texts.append("If the run was trained on a CPU, another training on a CPU with the same instructions and versions gives "
                     "the same weights, bit for bit. Accelerators and other processors give slightly different weights, and so "
                     "does a variable such as OPENBLAS_CORETYPE that chooses other instructions.")
    initial = {run.trained["encoder_weights"] for run in facts.runs if run.model == "pretrained_unet"} - {"imagenet", "none"}
    texts += [f"The initial weights of the encoder were a file, {Path(path).name}, which is not here: `{TRAIN}` needs it in the "
              "folder where it is started." for path in sorted(initial)]
    return ["## What is assumed", "", *list_lines(texts)]
