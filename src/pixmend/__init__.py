"""Restore missing regions of photos, and enter Kaggle's photo-reconstruction competitions."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixmend.mending.api import fill, load_run, mend, score

__all__ = ["fill", "load_run", "mend", "score"]


def __getattr__(name: str) -> Any:
    """Import what Python programs use when it is used first: the command line starts without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pixmend.mending import api

    return getattr(api, name)
