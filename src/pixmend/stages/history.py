"""Print all submissions of a competition with their scores, ranks and waiting times, as the ledger has them."""

from datetime import UTC, datetime

from pixmend.config import Settings
from pixmend.evaluation import ledger


def main(settings: Settings) -> None:
    """Print a row for each submission, and how many are left today."""
    path = ledger.get_path(settings.submissions_folder)
    events = ledger.read_events(path)
    if not events:
        print(f"No submission of {settings.dataset_name} is listed in {path}. `pixmend submit` adds each one that it sends.")
        return
    print("\n".join(ledger.format_history(ledger.list_sent_files(events))))
    if left := ledger.describe_allowance(ledger.find_allowance(events), datetime.now(UTC)):
        print(left)
