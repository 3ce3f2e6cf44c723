"""What was read from a table, remembered for a while: docs/design.md#caching."""

import logging
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.aws.cache import SegmentedLRUCache
from lava_s3trigger.errors import ServiceError
from tests.clock import Clock

TTL: Final = 60.0
NEWCOMERS: Final = 2000


Cache = SegmentedLRUCache[str, object]


@pytest.fixture
def cache(clock: Clock) -> Cache:
    return Cache(TTL, 10, clock)


class TestAnswers:
    """The cache returns the value that was put, until it expires."""

    @pytest.mark.parametrize("answer", [0, "", (), False, ["an", "answer"]], ids=repr)
    def test_each_key_has_its_own_value(self, answer: object, cache: Cache) -> None:
        assert cache.put("key", answer) is answer
        cache.put("another", "value")

        assert [cache.get("key") for _ in range(3)] == [answer] * 3
        assert cache.get("key") is not None
        assert cache.get("another") == "value"
        assert cache.get("missing") is None

    @pytest.mark.parametrize("reads", [0, 1], ids=["never-read", "read"])
    def test_a_key_can_be_forgotten(self, reads: int, cache: Cache) -> None:
        cache.put("key", "value")
        cache.put("another", "value")
        for _ in range(reads):
            cache.get("key")

        cache.forget("key")
        cache.forget("missing")

        assert cache.get("key") is None
        assert cache.get("another") == "value"


class TestTimeToLive:
    """A value expires after the TTL, however often it is read."""

    @pytest.mark.parametrize("reads", [0, 1, 5], ids=["never-read", "read-once", "read-often"])
    @pytest.mark.parametrize(
        ("later", "expected"),
        [
            pytest.param(0.8 * TTL - 0.1, "value", id="before"),
            pytest.param(TTL, None, id="at-the-end"),
            pytest.param(TTL + 0.1, None, id="after"),
        ],
    )
    def test_a_value_expires_after_the_ttl_from_put(
        self, reads: int, later: float, expected: str | None, cache: Cache, clock: Clock
    ) -> None:
        clock.now += 1000.0
        cache.put("key", "value")
        start = clock.now
        for n in range(reads):
            clock.now = start + n
            assert cache.get("key") == "value"

        clock.now = start + later

        assert cache.get("key") == expected
        assert cache.get("key") == expected

    def test_a_new_value_has_its_own_ttl(self, cache: Cache, clock: Clock) -> None:
        cache.put("key", "old")
        cache.get("key")
        clock.now += TTL
        assert cache.get("key") is None

        cache.put("key", "new")
        clock.now += 0.8 * TTL - 1

        assert cache.get("key") == "new"

    def test_a_new_invocation_keeps_values(self, cache: Cache) -> None:
        cache.put("new", "value")
        cache.put("proven", "value")
        cache.get("proven")

        cache.start()

        assert cache.get("new") == "value"
        assert cache.get("proven") == "value"

    @given(
        st.lists(
            st.tuples(st.sampled_from(["get", "pass"]), st.integers(0, 3), st.floats(0, TTL / 2))
        )
    )
    def test_no_value_is_older_than_the_ttl(self, steps: list[tuple[str, int, float]]) -> None:
        clock = Clock()
        cache = SegmentedLRUCache[int, float](TTL, 2, clock)
        for step, question, seconds in steps:
            if step == "pass":
                clock.now += seconds
            elif (answer := cache.get(question)) is None:
                cache.put(question, clock.now)
            else:
                assert clock.now - answer < TTL

    def test_expiry_has_jitter(self, clock: Clock) -> None:
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


class TestRefreshing:
    """Where a refresh fails, the expired value serves for a while."""

    def failing(self) -> str:
        raise ServiceError("reading lava.demo.jobs: throttled")

    def cache(self, clock: Clock, ttl: float = TTL) -> SegmentedLRUCache[str, str]:
        cache = SegmentedLRUCache[str, str](ttl, 10, clock)
        cache.put("key", "old")
        return cache

    def test_an_expired_value_is_read_again(self, clock: Clock) -> None:
        cache = self.cache(clock)
        clock.now += TTL
        assert cache.fetch("key", lambda: "new") == "new"
        assert cache.get("key") == "new"

    @pytest.mark.parametrize(
        ("ttl", "seconds"),
        [pytest.param(10.0, 600.0, id="short"), pytest.param(120.0, 1200.0, id="long")],
    )
    def test_an_expired_value_serves_for_ten_lifetimes_and_ten_minutes_at_least(
        self, clock: Clock, ttl: float, seconds: float
    ) -> None:
        cache = self.cache(clock, ttl)
        clock.now += 0.8 * ttl + seconds - 0.001
        assert cache.fetch("key", self.failing) == "old"
        clock.now += 0.2 * ttl + 0.001
        with pytest.raises(ServiceError):
            cache.fetch("key", self.failing)

    def test_the_log_says_so(self, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
        cache = self.cache(clock)
        clock.now += TTL
        with caplog.at_level(logging.WARNING, logger="lava_s3trigger"):
            cache.fetch("key", self.failing)
        (line,) = caplog.messages
        assert line.startswith("refresh_failed {")
        assert "reading lava.demo.jobs: throttled" in line

    def test_a_failing_refresh_is_not_repeated_at_once(self, clock: Clock) -> None:
        cache = self.cache(clock)
        clock.now += TTL
        cache.fetch("key", self.failing)
        clock.now += 4.9
        assert cache.fetch("key", lambda: "new") == "old"
        clock.now += 0.2
        assert cache.fetch("key", lambda: "new") == "new"

    def test_other_errors_are_raised(self, clock: Clock) -> None:
        def missing() -> str:
            raise LookupError("key")

        cache = self.cache(clock)
        clock.now += TTL
        with pytest.raises(LookupError):
            cache.fetch("key", missing)

    def test_without_a_ttl_nothing_expired_serves(self, clock: Clock) -> None:
        cache = self.cache(clock, 0)
        cache.start()
        with pytest.raises(ServiceError):
            cache.fetch("key", self.failing)


@pytest.mark.parametrize("reads", [0, 1, 2], ids=["never-read", "read-once", "read-twice"])
def test_without_a_ttl_a_value_holds_for_the_invocation(reads: int, clock: Clock) -> None:
    cache = Cache(0, 10, clock)
    cache.start()
    cache.put("key", "value")
    clock.now += 900.0
    assert [cache.get("key") for _ in range(reads)] == ["value"] * reads

    cache.start()

    assert cache.get("key") is None


class TestMemory:
    """The cache is bounded, and keys read once cannot evict keys that many events share."""

    def test_keys_read_once_do_not_evict_a_shared_key(self, clock: Clock) -> None:
        cache = SegmentedLRUCache[str, str](TTL, 10, clock)
        cache.put("shared", "answer")
        cache.get("shared")

        for n in range(10 * NEWCOMERS):
            assert cache.get(f"unique-{n}") is None
            cache.put(f"unique-{n}", "answer")

        assert cache.get("shared") == "answer"

    @pytest.mark.parametrize(
        ("size", "expected"),
        [
            pytest.param(10, 10, id="few"),
            pytest.param(NEWCOMERS, NEWCOMERS, id="as-many"),
            pytest.param(3 * NEWCOMERS, NEWCOMERS, id="many"),
        ],
    )
    def test_the_probation_segment_is_bounded(self, size: int, expected: int, clock: Clock) -> None:
        cache = SegmentedLRUCache[int, int](TTL, size, clock)
        asked = range(5 * NEWCOMERS)
        for n in asked:
            cache.put(n, n)

        kept = [n for n in reversed(asked) if cache.get(n) is not None]

        assert kept == list(reversed(asked))[:expected]

    def test_the_protected_segment_is_bounded_and_evicts_the_least_recently_used(
        self, clock: Clock
    ) -> None:
        cache = SegmentedLRUCache[str, str](TTL, 3, clock)
        for question in ("a", "b", "c"):
            cache.put(question, question)
            cache.get(question)
        cache.get("a")

        cache.put("d", "d")
        cache.get("d")

        assert [cache.get(question) for question in ("a", "b", "c", "d")] == ["a", None, "c", "d"]
