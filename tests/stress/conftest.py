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
