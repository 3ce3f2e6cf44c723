"""What was read from a table, remembered for a while: docs/design.md#caching."""

import logging
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.aws.cache import SegmentedLRUCache
from lava_s3trigger.errors import ServiceError
from tests.clock import Clock
from tests.tables import cases

TTL: Final = 60.0
NEWCOMERS: Final = 2000


Cache = SegmentedLRUCache[str, object]


@pytest.fixture
def cache(clock: Clock) -> Cache:
    return Cache(TTL, 10, clock)


@pytest.mark.parametrize("answer", [0, "", (), False, ["an", "answer"]], ids=repr)
def test_each_key_has_its_own_value(answer: object, cache: Cache) -> None:
    assert cache.put("key", answer) is answer
    cache.put("another", "value")
    for _ in range(3):
        found = [cache.get(key) for key in ("key", "another", "missing")]
        assert found == [answer, "value", None]


@pytest.mark.parametrize("reads", [0, 1], ids=["never-read", "read"])
def test_a_key_can_be_forgotten(reads: int, cache: Cache) -> None:
    cache.put("key", "value")
    cache.put("another", "value")
    for _ in range(reads):
        cache.get("key")
    cache.forget("key")
    cache.forget("missing")
    assert (cache.get("key"), cache.get("another")) == (None, "value")


@pytest.mark.parametrize("reads", [0, 1, 5], ids=["never-read", "read-once", "read-often"])
@cases(
    ("later", "expected"),
    {"before": (0.8 * TTL - 0.1, "value"), "at-the-end": (TTL, None), "after": (TTL + 0.1, None)},
)
def test_a_value_expires_after_the_ttl_however_often_it_is_read(
    reads: int, later: float, expected: str | None, cache: Cache, clock: Clock
) -> None:
    clock.now += 1000.0
    cache.put("key", "value")
    start = clock.now
    for n in range(reads):
        clock.now = start + n
        assert cache.get("key") == "value"
    clock.now = start + later
    assert [cache.get("key") for _ in range(2)] == [expected] * 2


def test_a_new_value_has_its_own_ttl(cache: Cache, clock: Clock) -> None:
    cache.put("key", "old")
    cache.get("key")
    clock.now += TTL
    assert cache.get("key") is None

    cache.put("key", "new")
    clock.now += 0.8 * TTL - 1

    assert cache.get("key") == "new"


def test_a_new_invocation_keeps_values(cache: Cache) -> None:
    cache.put("new", "value")
    cache.put("proven", "value")
    cache.get("proven")
    cache.start()
    assert (cache.get("new"), cache.get("proven")) == ("value", "value")


@given(
    st.lists(st.tuples(st.sampled_from(["get", "pass"]), st.integers(0, 3), st.floats(0, TTL / 2)))
)
def test_no_value_is_older_than_the_ttl(steps: list[tuple[str, int, float]]) -> None:
    clock = Clock()
    cache = SegmentedLRUCache[int, float](TTL, 2, clock)
    for step, question, seconds in steps:
        if step == "pass":
            clock.now += seconds
        elif (answer := cache.get(question)) is None:
            cache.put(question, clock.now)
        else:
            assert clock.now - answer < TTL


def test_expiry_has_jitter(clock: Clock) -> None:
    """Instances that started together do not refresh together."""
    caches = [SegmentedLRUCache[str, str](TTL, 10, clock) for _ in range(200)]
    for cache in caches:
        cache.put("key", "value")
    fresh = []
    start = clock.now
    for tenths in (8, 9, 10):
        clock.now = start + tenths * TTL / 10 - 0.001
        fresh.append(sum(cache.get("key") is not None for cache in caches))
    assert fresh[0] == 200
    assert 60 < fresh[1] < 140
    assert fresh[2] < 20


def throttled() -> str:
    raise ServiceError("reading lava.demo.jobs: throttled")


def expired(clock: Clock, ttl: float = TTL) -> Cache:
    """Return a cache with a value that has just expired."""
    cache = Cache(ttl, 10, clock)
    cache.put("key", "old")
    clock.now += ttl
    return cache


def test_an_expired_value_is_read_again(clock: Clock) -> None:
    cache = expired(clock)
    assert cache.fetch("key", lambda: "new") == "new"
    assert cache.get("key") == "new"


@pytest.mark.parametrize(
    ("ttl", "seconds"), [(10.0, 600.0), (120.0, 1200.0)], ids=["short", "long"]
)
def test_where_reading_fails_an_expired_value_serves_for_ten_lifetimes_and_ten_minutes_at_least(
    clock: Clock, ttl: float, seconds: float
) -> None:
    cache = expired(clock, ttl)
    clock.now += seconds - 0.2 * ttl - 0.001
    assert cache.fetch("key", throttled) == "old"
    clock.now += 0.2 * ttl + 0.001
    with pytest.raises(ServiceError):
        cache.fetch("key", throttled)


def test_a_failed_refresh_is_logged_and_not_repeated_at_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    cache = expired(clock)
    with caplog.at_level(logging.WARNING, logger="lava_s3trigger"):
        cache.fetch("key", throttled)
    (line,) = caplog.messages
    assert line.startswith("refresh_failed {")
    assert "reading lava.demo.jobs: throttled" in line
    for later, expected in ((4.9, "old"), (0.2, "new")):
        clock.now += later
        assert cache.fetch("key", lambda: "new") == expected


def test_other_errors_of_a_refresh_are_raised(clock: Clock) -> None:
    def missing() -> str:
        raise LookupError("key")

    with pytest.raises(LookupError):
        expired(clock).fetch("key", missing)


def test_without_a_ttl_nothing_expired_serves(clock: Clock) -> None:
    cache = expired(clock, 0)
    cache.start()
    with pytest.raises(ServiceError):
        cache.fetch("key", throttled)


@pytest.mark.parametrize("reads", [0, 1, 2], ids=["never-read", "read-once", "read-twice"])
def test_without_a_ttl_a_value_holds_for_the_invocation(reads: int, clock: Clock) -> None:
    cache = Cache(0, 10, clock)
    cache.start()
    cache.put("key", "value")
    clock.now += 900.0
    assert [cache.get("key") for _ in range(reads)] == ["value"] * reads

    cache.start()

    assert cache.get("key") is None


def test_keys_read_once_do_not_evict_a_shared_key(clock: Clock) -> None:
    cache = Cache(TTL, 10, clock)
    cache.put("shared", "answer")
    cache.get("shared")

    for n in range(10 * NEWCOMERS):
        assert cache.get(f"unique-{n}") is None
        cache.put(f"unique-{n}", "answer")

    assert cache.get("shared") == "answer"


@pytest.mark.parametrize(
    ("size", "expected"),
    [(10, 10), (NEWCOMERS, NEWCOMERS), (3 * NEWCOMERS, NEWCOMERS)],
    ids=["few", "as-many", "many"],
)
def test_the_probation_segment_is_bounded(size: int, expected: int, clock: Clock) -> None:
    cache = SegmentedLRUCache[int, int](TTL, size, clock)
    asked = range(5 * NEWCOMERS)
    for n in asked:
        cache.put(n, n)
    kept = [n for n in reversed(asked) if cache.get(n) is not None]
    assert kept == list(reversed(asked))[:expected]


def test_the_protected_segment_is_bounded_and_evicts_the_least_recently_used(clock: Clock) -> None:
    cache = SegmentedLRUCache[str, str](TTL, 3, clock)
    for question in ("a", "b", "c"):
        cache.put(question, question)
        cache.get(question)
    cache.get("a")

    cache.put("d", "d")
    cache.get("d")

    assert [cache.get(question) for question in ("a", "b", "c", "d")] == ["a", None, "c", "d"]
