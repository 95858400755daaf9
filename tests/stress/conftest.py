"""Each stress test records what it counted; a table at the end of the session shows all of them."""

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/stress" in item.path.as_posix():
            item.add_marker(pytest.mark.stress)


@pytest.fixture
def counts(record_property):
    """A dictionary of counts that becomes a row of the table, whether the test passes or fails."""
    row = {}
    yield row
    record_property("stress", row)


def pytest_terminal_summary(terminalreporter):
    reports = [report for found in terminalreporter.stats.values() for report in found
               if getattr(report, "when", "") == "teardown"]
    rows = [(report.nodeid.partition("::")[2], row) for report in reports
            for name, row in report.user_properties if name == "stress"]
    if rows:
        terminalreporter.section("stress")
        for name, row in sorted(rows):
            terminalreporter.write_line(f"{name:60} " + "  ".join(f"{value} {what}" for what, value in row.items()))
