"""Compare optimizers, losses, models, LAMBDA, augmentation or levels with several seeds, and say what can be told apart."""

from pixmend.config import Settings
from pixmend.errors import UserError
from pixmend.experiments import study, study_results, study_table
from pixmend.reporting import experiment_charts
from pixmend.setting_values import format_run_command


def main(settings: Settings) -> None:
    results = study.run_study(settings, experiment_charts.render_study)
    print("\n".join([study_table.format_text(results), results["conclusion"], f"study: {study_results.get_page_path(settings)}"]))
    if results["best"] is None:
        if results["pictures"] and not any(row["absent"] for row in results["rows"]):
            return   # only fills, which need no training
        raise UserError(f"No row of the study {settings.about} was finished; the reasons are listed above.")
    best = next(row for row in results["rows"] if row["title"] == results["best"])
    print(f"Show it in the report: {format_run_command('report', best['runs'][0], settings)}")
