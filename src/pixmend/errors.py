"""Errors that a user can mend: shown as one message, without a traceback."""


class UserError(Exception):
    """A mistake or a broken file; the message names the file, the reason and the next step."""

    exit_code = 1


class FlagError(UserError):
    """A flag that does not exist, or a value that it may not have."""

    exit_code = 2


class Diverged(UserError):
    """A training whose loss or holdout RMSE exploded because of its settings; other settings may do better."""
