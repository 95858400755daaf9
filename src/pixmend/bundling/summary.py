"""The written summary of a run, as the guidelines for winners order it: only what was measured, and fields for the person.

The sections are background, summary, data and features, training, findings, the simple variant, times and references.
"""

from collections.abc import Sequence
from dataclasses import replace

from pixmend import competitions, models, run_file
from pixmend.bundling import source
from pixmend.bundling.document import Block, Heading, Paragraph, Picture, Table, ToFillIn
from pixmend.bundling.facts import Facts
from pixmend.bundling.model_files import BundledRun, hide_path
from pixmend.bundling.references import list_references
from pixmend.config import PATHS, SETTINGS, UNLIMITED_STEPS, Settings, flag, group_values
from pixmend.fills import FILLS, is_pretrained
from pixmend.networks import photos_fill
from pixmend.networks.registry import get_network
from pixmend.reporting import run_section
from pixmend.reporting.run_section import Run
from pixmend.scoring.baselines import GIVEN
from pixmend.scoring.verdict import describe_run
from pixmend.setting_values import format_auto

GROUPS = ("augment", "network", "training", "prediction")   # whose settings are listed
NOT_LISTED = {*PATHS, "log", "save_minutes", "steps_per_call", "materialize", "snapshots", "mask_run"}
OF_SOME_NETWORKS = {"width", "levels", "work_size", "mask_channel", "encoder"}   # settings that have no effect on the others
OF_ADVERSARIAL = {"LAMBDA", "disc_lambda"}
MAX_RUNS = 12   # in the table of other runs


def write_summary(facts: Facts, figures: Sequence[Picture]) -> list[Block]:
    return [*describe_background(facts), *describe_result(facts), *describe_data(facts), *describe_training(facts),
            *describe_findings(facts, figures), *describe_simple_variant(facts), *describe_times(facts), *describe_sources(facts)]


def describe_background(facts: Facts) -> list[Block]:
    settings = facts.settings
    kaggle = [(f"{name.capitalize()} score", facts.row.get(name) or "not known") for name in ("public", "private")]
    return [Heading(f"Model summary: {settings.run}", 1), Heading("Background"),
            Table(("", ""), [("Competition", competitions.get_competition(settings.competition).slug), *kaggle]),
            ToFillIn("team name and place; name, location and e-mail address of each member."),
            ToFillIn("background and experience of the team, why it entered, how much time it spent, and who did what.")]


def describe_result(facts: Facts) -> list[Block]:
    """Return the few sentences that say most: what it is, what it reaches, how long it takes."""
    sentences = ["The model restores the missing pixels of damaged photos.", describe_parts(facts),
                 *describe_run(facts.settings, dict(facts.score), facts.score["fills"])]
    time = f"Training: {facts.describe_training_time()}. Prediction: {facts.describe_prediction_time()}."
    return [Heading("Summary"), Paragraph(" ".join([*sentences, time])), make_score_table(facts)]


def describe_parts(facts: Facts) -> str:
    """Return the architecture in a sentence, or the members of a mix with their weights."""
    run = facts.run
    if run.is_mix:
        members = zip(run.trained["members"], run.trained["weights"], strict=True)
        listed = ", ".join(f"{name} ({weight:.3f})" for name, weight in members)
        return f"It is the weighted mean of several runs, with weights from the holdout: {listed}."
    return describe_model(run)


def describe_model(run: BundledRun) -> str:
    if models.is_fill(run.model):
        training = "was trained already" if is_pretrained(run.model) else "needs no training"
        return f"It is the fill {run.model}, which {training}. {FILLS[run.model].summary}"
    folds = len(run.list_folds())
    networks = (f"{folds} networks, one for each fold, whose mean is taken, with {run.parameters:,} parameters together"
                if folds > 1 else f"a network with {run.parameters:,} parameters")
    return f"It is {run.model}, {networks}. {get_network(run.model).summary}"


def make_score_table(facts: Facts) -> Table:
    rows = [(facts.settings.run, str(facts.get_rmse()), "this model")]
    rows += [(name, str(facts.get_rmse(name)), describe_fill(name))
             for name in facts.score["fills"] if name != facts.settings.run]
    ordered = sorted(rows, key=lambda row: float(row[1].partition(" ")[0]))
    return Table(("on the holdout", f"RMSE over {len(facts.score['ids'])} images", ""), ordered)


def describe_fill(name: str) -> str:
    if name == GIVEN:
        return "the damaged image itself"
    return "pretrained fill" if is_pretrained(name) else "fill, without training"


def describe_data(facts: Facts) -> list[Block]:
    settings, images = facts.settings, facts.images
    scored = f"{len(facts.score['ids']):,} images are held out for the score"
    counts = (f"Of {images['original']:,} images with originals, {scored}; there are {images['test']:,} test images. "
              if images else f"{scored}. ")
    holdout = (f"{settings.folds} folds, so that each image is held out once" if settings.folds > 1
               else f"a share of {settings.holdout:g}")
    data = Paragraph(f"{counts}The images have {settings.size} x {settings.size} pixels, {facts.describe_colours()}. The holdout "
                     f"is {holdout}; images of one source, and near duplicates, are on the same side.")
    inputs = [describe_input(run) for run in facts.runs if models.is_trainable(run.model)]
    return [Heading("Data and features"), data, *describe_outside_data(facts), *inputs]


def describe_outside_data(facts: Facts) -> list[Block]:
    """Declare what was used besides the competition's images."""
    extra = facts.describe_extra_pictures()
    if not extra:
        return [Paragraph(f"Nothing but the competition's images was used{describe_pretraining(facts)}.")]
    return [Paragraph(f"External data: {extra}, were training images, damaged as the competition's are. None was in the holdout, "
                      "and near duplicates of holdout and test images were left out. They are not in this archive. Nothing else "
                      f"was used{describe_pretraining(facts)}."),
            ToFillIn("where the external pictures come from, their licence, and where the organisers can get them.")]


def describe_pretraining(facts: Facts) -> str:
    encoders = [run.trained["encoder"] for run in facts.runs
                if run.model == "pretrained_unet" and run.trained.get("encoder_weights") != "none"]
    weights = [f"the pretrained weights of the encoder {encoder}" for encoder in dict.fromkeys(encoders)]
    if any(models.uses_photos_weights(run.trained) for run in facts.runs):
        weights.append("the weights of the fill photos, which come with pixmend and were learned from the photographs that its "
                       f"`photographs/{photos_fill.CARD.name}` names")
    return f", besides {' and '.join(weights)}" if weights else ""


def describe_input(run: BundledRun) -> Paragraph:
    """Return what a network is given, from its stored settings."""
    trained = run.trained
    start = {"none": "the damaged image", "given": "the damaged image"}.get(
        trained["start"], f"the damaged image whose missing pixels are filled first (fill {trained['start']})")
    window = (f", in a window of {trained['window']:g} sides of each box, at {trained['work_size']} pixels"
              if trained["window"] else "")
    number = trained["masks_per_image"]
    masks = f" New masks drawn for each training image: {number}." if number else ""
    return Paragraph(f"Input of {run.settings.run}: {start}, and the mask{window}. Training images are augmented "
                     f"({trained['augment']}).{masks}")


def describe_training(facts: Facts) -> list[Block]:
    blocks: list[Block] = [Heading("Training")]
    for run in facts.runs:
        if models.is_trainable(run.model):
            table = Table(("setting", "value"), list_settings(run))
            blocks += [Heading(run.settings.run, 3), Paragraph(describe_model(run)), table]
    if len(blocks) == 1:
        blocks.append(Paragraph("Nothing is trained: every part is a fill."))
    return blocks


def list_settings(run: BundledRun) -> list[tuple[str, str]]:
    """Return the flags with the values that decided the weights and the prediction, without those that are off by default."""
    values = group_values(run.settings, "prediction") | run_file.read_used_settings(run.settings) | dict(run.trained)
    read = {*get_network(run.model).reads, *(["work_size"] if values["window"] else [])}
    without_effect = NOT_LISTED | (OF_SOME_NETWORKS - read) | (set() if values["adversarial"] else OF_ADVERSARIAL)
    without_effect |= {"steps"} if values["steps"] == UNLIMITED_STEPS else set()
    shown = [name for name, spec in SETTINGS.items() if name in values and spec.group in GROUPS and name not in without_effect]
    defaults = {name: SETTINGS[name].default for name in shown} | models.default_settings(run.model, run.settings.competition)
    return [(flag(name), str(format_auto(name, values[name]))) for name in shown
            if values[name] not in ("", False, 0) or values[name] != defaults[name]]


def describe_findings(facts: Facts, figures: Sequence[Picture]) -> list[Block]:
    """Return what other runs of the competition show about what helped, and the figures."""
    runs = [run for run in run_section.list_runs(facts.settings)
            if run.get_number(run_section.RMSE) and run_section.has_size(run, facts.settings)]
    rows = [(run.name, run.row[run_section.RMSE], describe_run_settings(run, facts.settings)) for run in runs[:MAX_RUNS]]
    shown = "All runs" if len(runs) == len(rows) else f"The {len(rows)} best of {len(runs)} runs"
    table = [Paragraph(f"{shown} of this competition that were scored, the best first, with the settings that are no defaults. "
                       f"What helped is what separates them; nothing else was measured."),
             Table(("run", "holdout RMSE", "model and settings"), rows)] if len(rows) > 1 else [
                 Paragraph("No other run of this competition was scored here, so what helped was not measured.")]
    return [Heading("Findings"), *table, *figures, ToFillIn("what surprised you, and what you tried without success.")]


def describe_run_settings(run: Run, settings: Settings) -> str:
    """Return the model and the settings of a run that are no defaults, without folders of this machine."""
    stored = {name: hide_path(name, value) for name, value in run.stored.items()}
    return " ".join(run_section.describe_settings(replace(run, stored=stored), settings)) or "not known"


def describe_simple_variant(facts: Facts) -> list[Block]:
    best, full = facts.get_rmse(facts.baseline), facts.get_rmse()
    ratio = f", {best.value / full.value:.3f} times that of the full model" if full.value else ""
    return [Heading("Simple variant"), Paragraph(
        f"The fill {facts.baseline} needs no training, no GPU and no weights. {FILLS[facts.baseline].summary} On the same "
        f"holdout its RMSE is {best}{ratio}. The README has its commands.")]


def describe_times(facts: Facts) -> list[Block]:
    return [Heading("Execution time"), Table(("", ""), [
        ("Training", facts.describe_training_time()), ("Prediction", facts.describe_prediction_time()),
        ("Simple variant", "no training"), ("Hardware", facts.describe_hardware())]),
        ToFillIn("the accelerator, if one was used: run.toml does not record it.")]


def describe_sources(facts: Facts) -> list[Block]:
    names = [run.model for run in facts.runs]
    for run in facts.runs:
        if models.is_trainable(run.model):
            names += [run.trained["start"], run.trained["optimizer"]]
            names += [run.trained["encoder"]] if run.model == "pretrained_unet" else []
    listed = [Paragraph(text) for text in list_references([*names, facts.baseline])]
    return [Heading("References"), *(Paragraph(text.replace("`", "")) for text in source.describe_code(facts.record)), *listed]
