"""What earlier tries of a delivery already carried out."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from datetime import UTC, datetime
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lava_s3trigger.events import S3Event
from lava_s3trigger.parking import RedriveTarget
from lava_s3trigger.sent import MAX_LEDGER_BYTES, Key, SentLedger, SentRecord, ledger_key

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

E: Final = b"event"
"""The key of an event."""
OTHER: Final = b"other event"


def event(key: str = "a/b/c", sequencer: str = "01") -> S3Event:
    """Return an S3 event."""
    return S3Event(
        bucket="my-bucket",
        key=key,
        size=10,
        event_time=datetime(2026, 3, 14, tzinfo=UTC),
        event_type="ObjectCreated:Put",
        source_ip=None,
        aws_region="eu-west-1",
        record={"s3": {"object": {"sequencer": sequencer}}},
    )


def sent(*jobs: tuple[str, str], parked: tuple[str, ...] = (), completed: int = 0) -> SentRecord:
    """Return a record of jobs that were dispatched and triggers that were parked."""
    return SentRecord(completed, Counter(jobs), Counter(parked))


def ledger(*records: tuple[Key, SentRecord]) -> SentLedger:
    """Return a ledger that remembers records."""
    made = SentLedger()
    made.remember(records)
    return made


T_LOAD: Final = ("t", "load")


class TestKey:
    """An event is the same in every try; another event, or another redrive, is not."""

    def test_an_event_read_again_has_the_same_key(self) -> None:
        assert ledger_key(event(), None) == ledger_key(event(), None)

    @pytest.mark.parametrize(
        ("other", "redrive"),
        [
            pytest.param(event("another"), None, id="object"),
            pytest.param(event(sequencer="02"), None, id="change"),
            pytest.param(event(), RedriveTarget("t"), id="parked"),
        ],
    )
    def test_another_event_has_another_key(
        self, other: S3Event, redrive: RedriveTarget | None
    ) -> None:
        assert ledger_key(other, redrive) != ledger_key(event(), None)

    @pytest.mark.parametrize(
        "other",
        [
            RedriveTarget("u", ("load",)),
            RedriveTarget("t", ("load", "load")),
            RedriveTarget("t", only_job="load"),
        ],
        ids=["trigger", "done", "only one job"],
    )
    def test_parked_messages_that_ask_for_different_things_have_different_keys(
        self, other: RedriveTarget
    ) -> None:
        one = ledger_key(event(), RedriveTarget("t", ("load",)))

        assert ledger_key(event(), other) != one

    @pytest.mark.parametrize("key", ["\ud800", "a\nb", "\U0001f600", "\x00"], ids=ascii)
    def test_any_object_key_can_be_remembered(self, key: str) -> None:
        found = ledger((ledger_key(event(key), None), sent(T_LOAD)))

        assert not found.take_sent(ledger_key(event("?"), None), *T_LOAD)
        assert found.take_sent(ledger_key(event(key), None), *T_LOAD)


class TestTake:
    """What was carried out excuses as many repetitions as it was carried out."""

    def test_an_empty_ledger_excuses_nothing(self) -> None:
        empty = SentLedger()

        assert not empty
        assert not empty.take_completed(E)
        assert not empty.take_sent(E, *T_LOAD)
        assert not empty.take_parked(E, "t")
        assert empty.take_rest(E, "t") == []

    def test_a_job_that_was_sent_twice_is_skipped_twice(self) -> None:
        found = ledger((E, sent(T_LOAD, T_LOAD)))

        assert [found.take_sent(E, *T_LOAD) for _ in range(3)] == [True, True, False]

    def test_a_completed_event_is_skipped_once(self) -> None:
        found = ledger((E, sent(completed=1)))

        assert [found.take_completed(E) for _ in range(2)] == [True, False]

    def test_a_parked_trigger_is_skipped_once(self) -> None:
        found = ledger((E, sent(parked=("t",))))

        assert [found.take_parked(E, "t") for _ in range(2)] == [True, False]

    def test_records_of_two_identical_events_add_up(self) -> None:
        """Of two identical events in a delivery, one was parked and one was not."""
        found = ledger((E, sent(parked=("t",))), (E, sent(T_LOAD)), (E, sent(completed=1)))

        assert [found.take_completed(E) for _ in range(2)] == [True, False]
        assert [found.take_parked(E, "t") for _ in range(2)] == [True, False]
        assert [found.take_sent(E, *T_LOAD) for _ in range(2)] == [True, False]
        assert not found

    @pytest.mark.parametrize(
        ("key", "trigger_id", "job_id"),
        [(OTHER, "t", "load"), (E, "u", "load"), (E, "t", "report")],
        ids=["event", "trigger", "job"],
    )
    def test_another_dispatch_is_not_excused(self, key: Key, trigger_id: str, job_id: str) -> None:
        found = ledger((E, sent(T_LOAD)))

        assert not found.take_sent(key, trigger_id, job_id)
        assert found.take_sent(E, *T_LOAD)

    def test_a_dispatch_is_neither_parked_nor_completed(self) -> None:
        found = ledger((E, sent(T_LOAD)))

        assert not found.take_parked(E, "t")
        assert not found.take_completed(E)

    def test_rest_is_what_else_was_sent_for_a_trigger(self) -> None:
        found = ledger(
            (E, sent(T_LOAD, ("t", "gone"), ("t", "gone"), ("u", "load"))), (OTHER, sent(T_LOAD))
        )
        assert found.take_sent(E, *T_LOAD)

        assert found.take_rest(E, "t") == [("t", "gone"), ("t", "gone")]

        assert found.take_rest(E, "t") == []
        assert found.take_sent(E, "u", "load")
        assert found.take_sent(OTHER, *T_LOAD)

    def test_a_ledger_from_which_all_was_taken_is_empty(self) -> None:
        found = ledger(
            (E, sent(T_LOAD, ("t", "gone"), parked=("u",), completed=1)),
        )

        for take in (
            lambda: found.take_completed(E),
            lambda: found.take_parked(E, "u"),
            lambda: found.take_sent(E, *T_LOAD),
            lambda: found.take_rest(E, "t"),
        ):
            assert found
            take()
        assert not found

    @unhurried
    @given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.sampled_from("xy"))))
    def test_each_job_is_counted_by_itself(self, steps: list[tuple[bool, str, str]]) -> None:
        found, expected = SentLedger(), Counter[tuple[str, str]]()
        for is_sent, trigger_id, job_id in steps:
            job = (trigger_id, job_id)
            if is_sent:
                found.remember([(E, sent(job))])
                expected[job] += 1
            else:
                assert found.take_sent(E, *job) is (expected[job] > 0)
                expected[job] = max(0, expected[job] - 1)
        assert bool(found) is (expected.total() > 0)


class TestRemember:
    """What was carried out for a delivery that comes again is remembered until it is done."""

    def test_a_record_of_nothing_is_not_kept(self) -> None:
        assert not ledger((E, sent()))

    def test_a_skipped_dispatch_of_a_delivery_that_fails_again_is_remembered(self) -> None:
        found = ledger((E, sent(T_LOAD)))
        for _ in range(3):
            assert found.take_sent(E, *T_LOAD)
            found.remember([(E, sent(T_LOAD))])

        assert [found.take_sent(E, *T_LOAD) for _ in range(2)] == [True, False]

    def test_forgetting_an_event_forgets_all_of_it_and_no_other(self) -> None:
        found = ledger((E, sent(T_LOAD, parked=("u",), completed=2)), (OTHER, sent(T_LOAD)))

        found.forget([E, b"unknown"])

        assert not found.take_completed(E)
        assert not found.take_parked(E, "u")
        assert not found.take_sent(E, *T_LOAD)
        assert found.take_sent(OTHER, *T_LOAD)

    def test_a_record_that_was_given_does_not_change(self) -> None:
        given_record = sent(T_LOAD)
        found = ledger((E, given_record))

        found.remember([(E, sent(T_LOAD))])
        assert found.take_sent(E, *T_LOAD)

        assert given_record == sent(T_LOAD)


class TestLearn:
    """What another instance carried out, by the shared table, is skipped here too."""

    def test_a_dispatch_of_another_instance_is_skipped(self) -> None:
        found = SentLedger()

        found.learn(E, sent(T_LOAD, parked=("u",)))

        assert [found.take_sent(E, *T_LOAD) for _ in range(2)] == [True, False]
        assert [found.take_parked(E, "u") for _ in range(2)] == [True, False]

    @pytest.mark.parametrize(
        ("known", "learned", "expected"), [(1, 1, 1), (2, 1, 2), (1, 2, 2)], ids=str
    )
    def test_the_same_facts_are_not_counted_twice(
        self, known: int, learned: int, expected: int
    ) -> None:
        found = ledger((E, sent(*[T_LOAD] * known)))

        found.learn(E, sent(*[T_LOAD] * learned))

        assert [found.take_sent(E, *T_LOAD) for _ in range(3)].count(True) == expected

    def test_learning_nothing_keeps_nothing(self) -> None:
        found = SentLedger()

        found.learn(E, sent())

        assert not found

    def test_the_learned_record_does_not_change(self) -> None:
        learned = sent(T_LOAD)
        found = SentLedger()
        found.learn(E, learned)

        assert found.take_sent(E, *T_LOAD)

        assert learned == sent(T_LOAD)


class TestMemory:
    """The ledger is bounded in bytes, and forgets the least recently used events."""

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
    def test_the_ledger_stays_within_its_bytes(
        self, events: int, jobs: int, max_bytes: int
    ) -> None:
        found = SentLedger(max_bytes)
        tracemalloc.start()
        try:
            for n in range(events):
                key = n.to_bytes(16, "big")
                # Each id is text of its own, as rendering makes it.
                counts = Counter((f"trigger-{n}", f"job-{n}-{job}") for job in range(jobs))
                found.remember([(key, SentRecord(0 if jobs else 1, counts))])
            used, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert 0.3 * max_bytes < used <= 1.1 * max_bytes
        assert not found.take_sent(bytes(16), "trigger-0", "job-0-0")
        newest = (events - 1).to_bytes(16, "big")
        assert found.take_sent(newest, f"trigger-{events - 1}", f"job-{events - 1}-0") is (jobs > 0)
        assert found.take_completed(newest) is (jobs == 0)

    def test_long_ids_count(self) -> None:
        found = SentLedger(max_bytes=100_000)

        found.remember((bytes([n]), sent(("t", "j" * 20_000 + str(n)))) for n in range(10))

        kept = [found.take_sent(bytes([n]), "t", "j" * 20_000 + str(n)) for n in range(10)]
        assert kept == [False] * 6 + [True] * 4

    def test_the_least_recently_used_event_goes_first(self) -> None:
        found = SentLedger(max_bytes=3_500)  # three events with a job each
        found.remember((key, sent(T_LOAD, ("t", "report"))) for key in (b"1", b"2"))
        assert found.take_sent(b"1", "t", "report")  # a use

        found.remember((key, sent(T_LOAD)) for key in (b"3", b"4"))

        assert [found.take_sent(key, *T_LOAD) for key in (b"1", b"2", b"3", b"4")] == [
            True,
            False,
            True,
            True,
        ]

    def test_a_record_larger_than_the_ledger_is_not_kept(self) -> None:
        found = SentLedger(max_bytes=5_000)
        found.remember([(E, sent(T_LOAD))])

        found.remember([(OTHER, sent(*(("t", f"job-{n}") for n in range(100))))])

        assert not found.take_sent(OTHER, "t", "job-0")
        assert found.take_sent(E, *T_LOAD)

    def test_an_event_that_grows_counts_with_its_new_size(self) -> None:
        found = SentLedger(max_bytes=10_000)
        for n in range(20):
            found.remember([(E, sent(("t", f"job-{n}")))])
        found.remember([(OTHER, sent(*(("t", f"job-{n}") for n in range(20))))])

        assert not found.take_sent(E, "t", "job-0")
        assert found.take_sent(OTHER, "t", "job-0")
