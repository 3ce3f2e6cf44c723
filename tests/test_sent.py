"""What earlier tries of a delivery already carried out."""

import sys
import tracemalloc
from collections import Counter
from typing import Final

import pytest

from lava_s3trigger.events import S3Event
from lava_s3trigger.parking import RedriveTarget
from lava_s3trigger.sent import MAX_LEDGER_BYTES, Key, SentLedger, SentRecord, ledger_key
from tests.build import s3_event

E: Final = b"event"
"""The key of an event."""
OTHER: Final = b"other event"


def event(key: str = "a/b/c", sequencer: str = "01") -> S3Event:
    return s3_event(key, record={"s3": {"object": {"sequencer": sequencer}}})


def sent(*jobs: tuple[str, str], parked: tuple[str, ...] = ()) -> SentRecord:
    """Return a record of jobs that were dispatched and triggers that were parked."""
    return SentRecord(jobs=Counter(jobs), parked=set(parked))


def ledger(*records: tuple[Key, SentRecord], max_bytes: int = MAX_LEDGER_BYTES) -> SentLedger:
    """Return a ledger that remembers records."""
    made = SentLedger(max_bytes)
    for key, record in records:
        made.remember(key, record)
    return made


T_LOAD: Final = ("t", "load")
PARKED: Final = sent(parked=("t",))
COMPLETE: Final = SentRecord(is_complete=True)


def test_each_event_and_each_redrive_has_a_key_of_its_own() -> None:
    asked = [
        (event(), None),
        (event("another"), None),
        (event(sequencer="02"), None),
        *(
            (event(), RedriveTarget(*redrive))
            for redrive in (("t",), ("t", ("load",)), ("u", ("load",)), ("t", ("load", "load")))
        ),
    ]

    assert len({ledger_key(*each) for each in asked}) == len(asked)
    assert ledger_key(event(), None) == ledger_key(event(), None)


@pytest.mark.parametrize("key", ["\ud800", "a\nb", "\U0001f600", "\x00"], ids=ascii)
def test_any_object_key_can_be_remembered(key: str) -> None:
    found = ledger((ledger_key(event(key), None), sent(T_LOAD)))
    assert found.take(ledger_key(event("?"), None)) is None
    assert found.take(ledger_key(event(key), None)) == sent(T_LOAD)


def test_a_job_is_excused_as_often_as_it_was_sent_and_no_other_is() -> None:
    record = sent(T_LOAD, T_LOAD)
    assert not record.use_job("t", "report")
    assert not record.use_job("u", "load")
    assert record == sent(T_LOAD, T_LOAD)
    assert [record.use_job(*T_LOAD) for _ in range(3)] == [True, True, False]


def test_the_rest_is_what_else_was_sent_for_a_trigger() -> None:
    record = sent(T_LOAD, T_LOAD, ("t", "report"), ("u", "load"))
    assert record.use_job(*T_LOAD)
    assert sorted(record.rest("t")) == ["load", "report"]


def test_facts_that_two_records_have_count_once() -> None:
    """The table and the ledger may both know of the same dispatch."""
    record = sent(T_LOAD, ("t", "report"), parked=("u",))
    record.merge(sent(T_LOAD, T_LOAD, parked=("u", "v")))
    assert record == sent(T_LOAD, T_LOAD, ("t", "report"), parked=("u", "v"))


def test_a_record_of_nothing_is_false() -> None:
    assert not SentRecord()
    assert all((COMPLETE, sent(T_LOAD), PARKED))


def test_a_record_is_taken_once() -> None:
    found = ledger((E, sent(T_LOAD)), (OTHER, PARKED))
    assert [found.take(key) for key in (E, E, OTHER)] == [sent(T_LOAD), None, PARKED]
    assert not found


def test_identical_events_have_records_of_their_own() -> None:
    """One of them was parked, with what was sent for it; of the other, a job was sent."""
    found = ledger((E, PARKED), (E, sent(T_LOAD)), (E, COMPLETE))
    assert [found.take(E) for _ in range(4)] == [PARKED, sent(T_LOAD), COMPLETE, None]


def test_a_record_of_nothing_loses_no_other() -> None:
    found = ledger((E, sent(T_LOAD)), (E, SentRecord()))
    assert found.take(E) == sent(T_LOAD)
    assert not ledger((E, SentRecord()))


@pytest.mark.parametrize(
    ("events", "jobs", "max_bytes"),
    [
        (1_300, 100, MAX_LEDGER_BYTES),
        (300, 100, MAX_LEDGER_BYTES // 8),
        (6_000, 1, MAX_LEDGER_BYTES // 8),
        (6_000, 0, MAX_LEDGER_BYTES // 8),
    ],
    ids=str,
)
def test_the_ledger_stays_within_its_bytes(events: int, jobs: int, max_bytes: int) -> None:
    found = SentLedger(max_bytes)
    tracemalloc.start()
    try:
        for n in range(events):
            # Each id is text of its own, as rendering makes it.
            counts = Counter((f"trigger-{n}", f"job-{n}-{job}") for job in range(jobs))
            record = SentRecord(is_complete=not jobs, jobs=counts)
            found.remember(n.to_bytes(16, "big"), record)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 0.3 * max_bytes < used <= 1.1 * max_bytes
    assert found.take(bytes(16)) is None
    assert found.take((events - 1).to_bytes(16, "big")) is not None


def test_long_ids_count() -> None:
    records = [(bytes([n]), sent(("t", "j" * 20_000 + str(n)))) for n in range(10)]
    found = ledger(*records, max_bytes=100_000)
    assert [found.take(key) is not None for key, _ in records] == [False] * 6 + [True] * 4


@pytest.mark.parametrize("letter", ["j", "\u0436", "\U0001f600"])
def test_ids_count_by_their_bytes(letter: str) -> None:
    job_id = letter * 2000
    assert sent(("t", job_id)).size > sys.getsizeof(job_id)


def test_the_least_recently_used_event_goes_first() -> None:
    found = SentLedger(max_bytes=4_000)  # three events with a job each
    for key in (b"1", b"2", b"1", b"3", b"4"):
        found.remember(key, found.take(key) or sent(T_LOAD))
    assert [key for key in (b"1", b"2", b"3", b"4") if found.take(key)] == [b"1", b"3", b"4"]


def test_a_record_larger_than_the_ledger_is_not_kept() -> None:
    large = sent(*(("t", f"job-{n}") for n in range(100)))
    found = ledger((E, sent(T_LOAD)), (OTHER, large), max_bytes=5_000)
    assert found.take(OTHER) is None
    assert found.take(E) == sent(T_LOAD)
