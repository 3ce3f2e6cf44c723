"""Costs of events in an instance that has handled events before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .realm import (
    EVERYDAY,
    bare,
    by_eventbridge,
    by_s3,
    by_sns,
    by_sqs,
    check,
    entry,
    everyday_parameters,
    function,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .measuring import Bench, Comparison, Row
    from .service import Seen

KEY = "in/orders/2026-03-14/order-1.csv"


def warm_one(bench: Bench) -> Iterator[Row]:
    """One S3 event that causes one dispatch."""
    comparison = _one(bench, by_s3(KEY), is_usual=True)
    yield comparison.by_cpu("warm, one S3 event, one dispatch: CPU", 1.25)
    yield _one(bench, by_s3(KEY)).by_cpu("the same, against a client like ours: CPU", None)


def warm_ten(bench: Bench) -> Iterator[Row]:
    """A batch of ten from SQS, for one worker."""
    bench.service.setup([entry()])
    ours, baseline = function(bench.service), bare(bench.service)
    keys = [f"in/orders/2026-03-14/order-{n}.csv" for n in range(10)]
    payload = by_sqs(*keys)
    ours(payload)
    check(bench.service.take(), keys)
    rounds, times = bench.rounds(15), bench.scaled(40)
    usual = bare(bench.service, is_usual=True)
    usual(10)
    bench.service.take()
    comparison = bench.compare(lambda: ours(payload), lambda: usual(10), rounds=rounds, times=times)
    seen = check(bench.service.take(), keys, rounds * times * 2)
    _check_calls(seen, rounds * times * 4)
    yield comparison.by_cpu("warm, SQS batch of ten, ten dispatches: CPU", 1.8)
    comparison = bench.compare(
        lambda: ours(payload), lambda: baseline(10), rounds=rounds, times=times
    )
    bench.service.take()
    yield comparison.by_cpu("the same batch, against a client like ours: CPU", None)


def warm_thousand(bench: Bench) -> Iterator[Row]:
    """A thousand records in one invocation, for four workers."""
    count = 200 if bench.is_quick else 1000
    bench.service.setup([entry(n, prefix=f"in/{n}", job_id=f"job{n}") for n in range(4)], 4)
    ours, baseline = function(bench.service), bare(bench.service)
    keys = [f"in/{n % 4}/orders/order-{n}.csv" for n in range(count)]
    payload = by_s3(*keys)

    def worker(key: str) -> int:
        return int(key[3])

    def one_after_another() -> None:
        for _ in range(count // 10):
            baseline(10)

    ours(payload)
    one_after_another()
    check(bench.service.take(), keys, worker=worker)
    rounds = bench.rounds(5)
    bench.service.delay(0.005)
    comparison = bench.compare(lambda: ours(payload), one_after_another, rounds=rounds, times=1)
    bench.service.delay(0)
    seen = check(bench.service.take(), keys, rounds * 2, worker)
    _check_calls(seen, rounds * 4 * count // 10)
    yield comparison.by_wall(
        f"warm, {count:,} dispatches to 4 workers, 5 ms for each call: wall", 0.4
    )


def everyday(bench: Bench) -> Iterator[Row]:
    """An event whose trigger has an everyday template, against one with plain templates."""
    plain_key = "plain/orders/2026-03-14/order-1.csv"
    bench.service.setup([entry(prefix="plain"), entry(1, parameters=EVERYDAY)])
    handle = function(bench.service)
    payload, plain = by_s3(KEY), by_s3(plain_key)
    handle(payload)
    [(_, text)] = bench.service.take().sent
    if json.loads(text)["parameters"] != everyday_parameters(KEY):
        raise AssertionError(text)
    handle(plain)
    check(bench.service.take(), [plain_key])
    rounds, times = bench.rounds(15), bench.scaled(100)
    comparison = bench.compare(
        lambda: handle(payload), lambda: handle(plain), rounds=rounds, times=times
    )
    _check_calls(bench.service.take(), rounds * times * 4)
    yield comparison.by_cpu(
        "warm, one event with an everyday template, against plain templates: CPU", 1.3
    )


def routes(bench: Bench) -> Iterator[Row]:
    """One event by each route."""
    for route, payload in (
        ("S3", by_s3(KEY)),
        ("SNS", by_sns(KEY)),
        ("EventBridge", by_eventbridge(KEY)),
        ("SQS", by_sqs(KEY)),
    ):
        yield _one(bench, payload).by_cpu(f"warm, one event by {route}: CPU", None)


def _one(bench: Bench, payload: Any, *, is_usual: bool = False) -> Comparison:
    bench.service.setup([entry()])
    ours, baseline = function(bench.service), bare(bench.service, is_usual=is_usual)
    ours(payload)
    baseline(1)
    check(bench.service.take(), [KEY])
    rounds, times = bench.rounds(15), bench.scaled(100)
    comparison = bench.compare(
        lambda: ours(payload), lambda: baseline(1), rounds=rounds, times=times
    )
    seen = check(bench.service.take(), [KEY], rounds * times * 2)
    _check_calls(seen, rounds * times * 4)
    return comparison


def _check_calls(seen: Seen, count: int) -> None:
    """Check that nothing was called but so many batches sent."""
    if seen.calls != {"SendMessageBatch": count}:
        raise AssertionError(f"{seen.calls}, not {count} batches")
