"""The sessions of a run at Kaggle: which settings they are given, and kernels.json, the record of what was sent.

A session is recorded before it is sent, so that none is sent twice.
"""

import re
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pixmend import competitions, config, files, models, run_file
from pixmend.config import AUTO, SETTINGS, Settings, flag
from pixmend.errors import FlagError, UserError
from pixmend.run_identity import WEIGHT_SETTINGS, usual_learning_rate

MAX_NAME_LENGTH = 30
READY, SENDING, SENT, TAKEN, FAILED = "ready", "sending", "sent", "taken", "failed"
ACTIVE = (SENDING, SENT)   # Kaggle has it, or may still get it
OLD_NAMES = {"here": "local_step"}  # as version 1 wrote them
SENT_GROUPS = ("common", "download", "augment", "network", "training", "diffusion", "prediction", "submission")
NOT_SENT = {"competition", "run", "home", "force", "quiet", "from_folder", "log"}   # a session lacks the packages of --log
ENCODER_WEIGHTS = ("imagenet", "none")   # all but files
IMPOSSIBLE = {
    "init_from": "a session at Kaggle has no other run's weights",
    "unknown_masks": "a session has no masks of another run, and a run that finds masks has nothing to submit",
    "folds": "a session continues one training. Leave it out, or train the folds on this machine",
    "photos": "a session at Kaggle does not have this folder",
    "extra_pictures": "a session at Kaggle does not have this folder",
}


@dataclass(frozen=True)
class Session:
    """One session on Kaggle's machines, from its kernel to the files that came back."""

    number: int
    ref: str  # owner/name of its kernel
    tag: str  # identifies the pushed script
    flags: dict[str, Any] = field(default_factory=dict)
    local_step: int = -1  # the newest step on this machine when the kernel was built; -1 where there was none
    state: str = READY
    settled_at: float = 0.0  # while it is being sent: when it has certainly arrived or failed (time.time())
    step: int = 0  # how far it came
    finished: bool = False
    failed: str = ""  # the stage that failed

    @property
    def url(self) -> str:
        return f"https://www.kaggle.com/code/{self.ref}"


class SessionLog:
    """The sessions of a run, oldest first; every change is written at once."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "kernels.json"
        self.sessions = read_sessions(self.path)

    def get_active(self) -> Session | None:
        """Return the session that was sent and whose output has not been taken yet, or None."""
        return self.sessions[-1] if self.sessions and self.sessions[-1].state in ACTIVE else None

    def get_next_number(self) -> int:
        """Return the number of the next session; that of one that was built and never sent is used again."""
        newest = self.sessions[-1] if self.sessions else None
        return newest.number + (newest.state != READY) if newest else 1

    def get_newest_taken(self) -> Session | None:
        """Return the session that wrote the run's newest checkpoint, or None."""
        return next((one for one in reversed(self.sessions) if one.state == TAKEN), None)

    def save(self, session: Session, **changes: Any) -> Session:
        """Change fields of the newest session, or add a new one; return it."""
        changed = replace(session, **changes)
        self.sessions = [*(one for one in self.sessions if one.number != session.number), changed]
        files.write_json(self.path, [asdict(one) for one in self.sessions])
        return changed


def read_sessions(path: Path) -> list[Session]:
    """Return the sessions that a file lists, none without a file."""
    names = {one.name for one in fields(Session)}
    try:
        rows = [{OLD_NAMES.get(name, name): value for name, value in row.items()} for row in files.read_json(path) or []]
        for row in rows:
            row["flags"] = {config.RENAMED.get(name, name): value for name, value in row["flags"].items()}
        sessions = [Session(**{name: value for name, value in row.items() if name in names}) for row in rows]
        if all(isinstance(one.number, int) and isinstance(one.ref, str) and isinstance(one.flags, dict) for one in sessions):
            return sessions
    except (AttributeError, KeyError, TypeError):
        pass
    raise UserError(f"{path} is not a list of sessions. Move it away: the next `pixmend kernel` finds a session that is at work "
                    "by its name.")


def make_ref(user: str, dataset_name: str, run: str, number: int) -> str:
    """Return a kernel's owner/name in letters that Kaggle does not change; a hash tells similar names apart."""
    plain = re.sub(r"[^a-z0-9]+", "-", run.lower()).strip("-")[:MAX_NAME_LENGTH].strip("-")
    return f"{user}/{plain or 'run'}-{files.hash_value([dataset_name, run])[:6]}-{number}"


def check_settings(settings: Settings) -> None:
    """Refuse what a session at Kaggle cannot do."""
    if not models.is_trainable(settings.model):
        raise FlagError(f"--model {settings.model} is not trained, so it needs no GPU at Kaggle. Run it on this machine: "
                        f"./run_pipeline.sh --model {settings.model}")
    if not competitions.get_competition(settings.competition).runs_at_kaggle:
        raise FlagError(f"--competition {settings.competition} does not work with kernels: its photographs are larger than "
                        "Kaggle allows a kernel to be. Choose another, for example --competition landscapes.")
    for name, reason in IMPOSSIBLE.items():
        if name in settings.given and getattr(settings, name) != SETTINGS[name].default:
            raise FlagError(f"{flag(name)} does not work with kernels: {reason}.")
    if settings.encoder_weights not in ENCODER_WEIGHTS:
        raise FlagError(f"--encoder-weights {settings.encoder_weights} does not work with kernels: a session at Kaggle does not "
                        f"have this file. Give one of: {', '.join(ENCODER_WEIGHTS)}.")
    if settings.wheels and not re.fullmatch(r"[\w-]+/[\w-]+", settings.wheels):
        raise FlagError(f"--wheels must be the owner/name of a dataset at Kaggle; got {settings.wheels}.")


def select_flags(settings: Settings) -> dict[str, Any]:
    """Return the settings that were typed and that the stages of a session read; its code has the same defaults."""
    names = [name for name in settings.given - NOT_SENT if SETTINGS[name].group in SENT_GROUPS]
    return {name: getattr(settings, name) for name in sorted(names)}


def select_stored(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that training stores as they were typed, not as a value that it measured (`auto`)."""
    return {name: value for name, value in flags.items()
            if name in WEIGHT_SETTINGS and value != AUTO and not (SETTINGS[name].auto and value == 0)}


def find_changes(settings: Settings, earlier: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return for each setting of training that differs from an earlier session's: its value then, and now.

    What was typed neither then nor now is as the run's file has it, whatever the defaults of this version are.
    """
    defaults = ({name: spec.default for name, spec in SETTINGS.items()} | competitions.get_default_settings(settings)
                | models.default_settings(settings.model, settings.competition) | usual_learning_rate(settings))
    trained, flags = run_file.read_trained(settings.run_folder), select_flags(settings)
    stored = select_stored(run_file.add_missing_settings(trained)) if trained else {}
    then, now = defaults | stored | earlier, defaults | flags
    names = (earlier.keys() | flags.keys()) & set(WEIGHT_SETTINGS)
    return {name: (then[name], now[name]) for name in sorted(names) if then[name] != now[name]}
