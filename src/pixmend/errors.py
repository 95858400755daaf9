"""The one error a person may cause: said in a sentence that names the file, the reason and the next step."""


class UserError(Exception):
    """Shown as its sentence alone, without a traceback; the process ends with `exit_code`."""

    exit_code = 1


class FlagError(UserError):
    """A flag that does not exist, or a value out of its range."""

    exit_code = 2


class Diverged(UserError):
    """A training whose loss or holdout RMSE went wrong: its settings' fault, so that others may do better."""
