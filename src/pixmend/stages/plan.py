"""Measure some steps of a training here, and estimate its speed, minutes and memory on several devices."""

from pixmend.config import Settings
from pixmend.training import plan


def main(settings: Settings) -> None:
    """Print the table; nothing of the run is written."""
    settings, estimates = plan.plan_run(settings)
    print(plan.format_plan(settings, estimates))
