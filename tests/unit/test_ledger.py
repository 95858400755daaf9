"""The ledger of submissions: rows are only added, a damaged file is one message, and the newest score counts."""

from datetime import UTC, datetime

import pandas
import pytest

from pixmend.errors import UserError
from pixmend.evaluation import ledger

TAG, OTHER = "0123456789ab", "ba9876543210"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "submissions.csv"


def list_sent(path):
    return ledger.list_sent_files(ledger.read_events(path))


def test_no_file_is_an_empty_ledger(path):
    assert ledger.read_events(path) == [] and list_sent(path) == [] and ledger.find_allowance([]) is None


def test_rows_are_only_added(path):
    ledger.add_event(path, ledger.SENT, run="a", file=TAG, message='a "quoted", long\nmessage')
    before = path.read_bytes()
    ledger.add_event(path, ledger.SCORED, run="a", file=TAG, ref="7", public="0.15000")
    assert path.read_bytes().startswith(before) and len(ledger.read_events(path)) == 2
    assert [path.name for path in path.parent.iterdir() if not path.name.startswith(".")] == ["submissions.csv"]
    assert pandas.read_csv(path)["public"].tolist()[1] == 0.15


def test_score_belongs_to_its_submission(path):
    for time in ("2026-11-01 10:00:00", "2026-11-01 11:00:00"):
        ledger.add_event(path, ledger.SENT, time, run="a", file=TAG, message=f"a {TAG}")
    ledger.add_event(path, ledger.SENT, "2026-11-01 12:00:00", run="b", file=OTHER, ref="9")
    ledger.add_event(path, ledger.SCORED, run="a", file=TAG, ref="8", public="0.2", rank="12", seconds="31")
    ledger.add_event(path, ledger.FAILED, run="b", file=OTHER, ref="9", message="Row 7 has no value")
    first, second, third = list_sent(path)
    assert not first.is_scored and (second.ref, second.public, second.rank, second.seconds) == ("8", "0.2", "12", "31")
    assert third.failure == "Row 7 has no value" and not third.is_scored


def test_newer_score_of_a_submission_keeps_what_it_does_not_say(path):
    ledger.add_event(path, ledger.SENT, run="a", file=TAG)
    ledger.add_event(path, ledger.SCORED, run="a", file=TAG, ref="8", public="0.2", rank="12", seconds="31")
    ledger.add_event(path, ledger.SCORED, run="a", file=TAG, ref="8", public="0.2", private="0.3")
    one, = list_sent(path)
    assert (one.public, one.private, one.rank, one.seconds) == ("0.2", "0.3", "12", "31")


def test_score_after_a_failure_wins(path):
    ledger.add_event(path, ledger.SENT, run="a", file=TAG, ref="8", message=f"a {TAG} first try")
    ledger.add_event(path, ledger.FAILED, run="a", file=TAG, ref="8", message="Kaggle's disk was full")
    assert "disk" in ledger.format_history(list_sent(path))[1]
    ledger.add_event(path, ledger.SCORED, run="a", file=TAG, ref="8", public="0.2")
    one, = list_sent(path)
    assert (one.failure, one.public, one.note) == ("", "0.2", "first try")
    assert "disk" not in ledger.format_history([one])[1]


def test_score_of_a_file_that_another_machine_sent_is_listed(path):
    ledger.add_event(path, ledger.SCORED, run="a", file=TAG, ref="8", public="0.2")
    one, = list_sent(path)
    assert (one.time, one.run, one.public) == ("", "a", "0.2")


DAMAGED = ["run,public\na,0.1\n", "time,event\n2026-11-01 10:00:00,sent\n", b"\xff\xfe\x00", '"unfinished',
           ",".join(ledger.COLUMNS) + "\n2026-11-01 10:00:00,sent,7\n",
           ",".join(ledger.COLUMNS) + "\n2026-11-01 10:00:00,lost,,a,,,,,,,,\n",
           ",".join(ledger.COLUMNS) + "\nyesterday,sent,,a,,,,,,,,\n",
           ",".join(ledger.COLUMNS) + "\n2026-11-01 10:00:00,sent,,a,,,,,,,many,5\n"]


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_ledger_is_one_message_and_stays_as_it_is(path, content):
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(data)
    for use in (ledger.read_events, lambda path: ledger.add_event(path, ledger.SENT, run="a", file=TAG)):
        with pytest.raises(UserError) as raised:
            use(path)
        assert str(path) in str(raised.value) and "Move it" in str(raised.value)
    assert path.read_bytes() == data


def test_ledger_that_an_editor_saved_is_continued(path):
    """Without a newline at the end, with a byte order mark, and with one more column."""
    row = "2026-11-01 10:00:00,sent,7,a,0123456789ab,,,,,,,,mine"
    path.write_text("\ufeff" + ",".join(ledger.COLUMNS) + ",remark\n" + row)
    ledger.add_event(path, ledger.SCORED, run="a", file=TAG, ref="7", public="0.1")
    one, = list_sent(path)
    assert one.public == "0.1" and ledger.read_events(path)[0]["remark"] == "mine"


def test_allowance_is_of_the_day_of_the_last_sending(path):
    ledger.add_event(path, ledger.SENT, "2026-11-01 10:30:00", run="a", file=TAG, left_today=3, per_day=5)
    ledger.add_event(path, ledger.SCORED, run="a", file=TAG, ref="8", public="0.2")
    found = ledger.find_allowance(ledger.read_events(path))
    assert found == ledger.Allowance("2026-11-01 10:30:00", 3, 5)
    assert "3 of 5" in ledger.describe_allowance(found, datetime(2026, 11, 1, 23, tzinfo=UTC))
    later = ledger.describe_allowance(found, datetime(2026, 11, 2, 1, tzinfo=UTC))
    assert "3 of 5" not in later and "2026-11-01" in later
    assert ledger.describe_allowance(None, datetime.now(UTC)) == ""


def test_table_has_a_row_for_each_submission(path):
    ledger.add_event(path, ledger.SENT, "2026-11-01 10:00:00", run="long-name", file=TAG, message=f"long-name {TAG} first try")
    ledger.add_event(path, ledger.SCORED, run="long-name", file=TAG, ref="8", public="0.2", rank="12", seconds="31")
    ledger.add_event(path, ledger.SENT, "2026-11-02 10:00:00", run="b", file=OTHER)
    title, first, second = ledger.format_history(list_sent(path))
    assert title.index("run") == first.index("long-name") == second.index("b ")
    assert first.split() == ["2026-11-01", "10:00", "long-name", TAG, "0.2", "–", "12", "31", "first", "try"]
    assert second.endswith("no score yet")


def test_file_that_is_found_at_kaggle_later_stands_where_it_was_sent(path):
    """As one that `kaggle competitions submit` has sent: it is recorded when it is found."""
    ledger.add_event(path, ledger.SENT, "2026-11-02 10:00:00", run="b", file=OTHER, ref="9")
    ledger.add_event(path, ledger.SENT, "2026-11-01 10:00:00", run="a", file=TAG, ref="8")
    ledger.add_event(path, ledger.SCORED, run="b", file=OTHER, ref="9", public="0.2")
    assert [(one.run, one.public) for one in list_sent(path)] == [("a", ""), ("b", "0.2")]


@pytest.mark.parametrize(("text", "time"), [("2026-11-20T12:00:00.000Z", "2026-11-20 12:00:00"),
                                            ("2026-11-20 12:00:00.123000", "2026-11-20 12:00:00"), ("", ""), ("now", "")])
def test_times_of_kaggle(text, time):
    assert ledger.format_time(text) == time
