"""Counts of calls, read units and dispatches, which do not depend on the machine."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final

from tests.aws_in_memory.tables import size_of_item

from .measuring import Row
from .realm import EVERYDAY, by_s3, check, entries, entry, everyday_parameters, function
from .service import to_item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .measuring import Bench

DEEP: Final = "/".join("abcdefghij")
"""Ten levels."""
REFRESH: Final = 16
"""Upper bound of the read units for the entries of a bucket."""
RECORDS: Final = 1300
"""About as many as an invocation's payload holds: S3 records of 800 bytes, 1 MB in all."""
TIMEOUT: Final = 60
"""Seconds of an invocation, as in the template."""


def everyday_in_one_invocation(bench: Bench) -> Iterator[Row]:
    """A full payload of objects with two triggers each, done before the timeout."""
    bench.service.setup([entry(n, parameters=EVERYDAY) for n in range(2)])
    handle = function(bench.service)
    keys = [f"in/orders/2026-03-14/order-{n}.csv" for n in range(bench.scaled(RECORDS))]
    deadline = time.monotonic() + TIMEOUT
    context = SimpleNamespace(
        aws_request_id="bench",
        get_remaining_time_in_millis=lambda: (deadline - time.monotonic()) * 1000,
    )
    bench.wait_for_turn()
    failure = ""
    try:
        handle(by_s3(*keys), context)
    except Exception as error:  # noqa: BLE001 - a failed invocation is a result
        failure = str(error)
    received = {
        (message["globals"]["key"], message["run_id"])
        for message in (json.loads(text) for _, text in bench.service.take().sent)
        if message["parameters"] == everyday_parameters(message["globals"]["key"])
    }
    wanted = 2 * len(keys)
    yield Row(
        f"missing of {wanted:,} dispatches, everyday templates, one invocation of {TIMEOUT} s",
        wanted - len(received) if not failure else max(1, wanted - len(received)),
        0,
        "dispatches",
        note=failure[:80],
    )


def calls_of_few(bench: Bench) -> Iterator[Row]:
    """A bucket with 100 entries, and keys that were never seen before."""
    bench.service.setup([*entries(99), entry(prefix="a")])
    ours = function(bench.service)
    ours(by_s3(f"{DEEP}/first.csv"))
    check(bench.service.take(), [f"{DEEP}/first.csv"])
    invocations = bench.scaled(100)
    keys = [f"{DEEP}/{n}/order.csv" for n in range(invocations * 10)]
    for n in range(invocations):
        ours(by_s3(*keys[n * 10 : n * 10 + 10]))
    seen = check(bench.service.take(), keys)
    events = f"{len(keys):,} keys never seen, ten levels deep"
    yield Row(f"DynamoDB calls, {events}, 100 entries", seen.reads, 0, "calls")
    sent = seen.calls["SendMessageBatch"]
    yield Row(f"SQS calls for their {len(keys):,} dispatches", sent, invocations, "calls")


def calls_of_many(bench: Bench) -> Iterator[Row]:
    """A bucket with 20,000 entries: each new prefix is queried once."""
    bench.service.setup([*entries(bench.scaled(20_000) + 200), entry(prefix="a")])
    ours = function(bench.service)
    first = f"{DEEP}/first.csv"
    ours(by_s3(first))
    ours(by_s3(first))  # a prefix queried twice stays cached when unique keys flush others
    check(bench.service.take(), [first], 2)
    keys = [f"{DEEP}/{n}.csv" for n in range(bench.scaled(3000))]
    for n in range(0, len(keys), 10):
        ours(by_s3(*keys[n : n + 10]))
    seen = check(bench.service.take(), keys)
    count = f"{len(keys):,} keys never seen"
    extra = seen.reads - len(keys)  # each key is itself a new prefix
    yield Row(
        f"DynamoDB calls beyond one for each of {count}, 20,000 entries",
        extra,
        0,
        "calls",
    )
    # The same after as many keys that match nothing and share no folder.
    unrelated = [f"s{n}/x" for n in range(len(keys))]
    for n in range(0, len(keys), 10):
        ours(by_s3(*unrelated[n : n + 10]))
    bench.service.take()
    ours(by_s3(f"{DEEP}/last.csv"))
    seen = check(bench.service.take(), [f"{DEEP}/last.csv"])
    yield Row("the same, after as many keys that share no folder", seen.reads - 1, 0, "calls")


def refresh(bench: Bench) -> Iterator[Row]:
    """Read units for the entries of a bucket, by DynamoDB's published rule."""
    counts = (1, 100, 128, 129, 1000, bench.scaled(20_000) + 1000)
    for size, goal in ((0, REFRESH), (1024, REFRESH), (8192, None)):
        units_by_count = {}
        for count in counts:
            table = entries(count, size)
            if size == 1024:
                spare = size - size_of_item(to_item(table[0])) + size
                table = entries(count, spare)
            bench.service.setup(table)
            function(bench.service)(by_s3("elsewhere.csv"))
            seen = check(bench.service.take(), [])
            # Without the queries by prefix, which follow where there are too many entries.
            units_by_count[count] = seen.read_units - 0.5 * (seen.calls["Query"] - 1)
        worst = max(units_by_count, key=lambda count: units_by_count[count])
        of = f"{size_of_item(to_item(table[0]))} bytes"
        yield Row(
            f"read units of a refresh, 1 to 20,000 entries of {of}",
            units_by_count[worst],
            goal,
            "units",
            note=f"most with {worst:,}",
        )
