"""The CPU time of an event by module.

A timer of CPU time samples the stack, which costs less than a tracing profiler. A sample
counts for the innermost module of the function on the stack: Jinja for `documents`,
botocore for `sqs`.
"""

from __future__ import annotations

import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import lava_s3trigger

from .realm import by_s3, by_sqs, check, entry, function

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from .measuring import Bench

_PACKAGE: Final = str(Path(lava_s3trigger.__file__).parent)
_INTERVAL: Final = 0.001
SAMPLES: Final = 3000

STEPS: Final = {
    "aws/sqs": "the SQS call: botocore and the kernel",
    "aws/cache": "the cache of the tables",
    "aws/deadline": "the remaining time",
    "aws/threads": "concurrent calls",
    "acknowledgement": "the result of each delivery",
    "conditions": "conditions",
    "decision": "the decision",
    "dedup/protocol": "recent events",
    "dedup/memory": "recent events of this instance",
    "dispatch": "the message as JSON",
    "events": "reading S3 events",
    "deliveries": "parsing the payload, and the outcomes of its events",
    "elements": "reading elements of the payload",
    "mode": "dispatching or observing",
    "parking": "parked messages",
    "handler": "the steps of an invocation",
    "jobs": "jobs",
    "metrics": "the summary line",
    "log": "the log line",
    "sending": "sending and its results",
    "sent": "what earlier tries sent",
    "templates/confinement": "running a template",
    "templates/documents": "rendering: Jinja, and parsing its JSON",
    "templates/environment": "the template environment",
    "templates/limits": "limits of time and memory",
    "templates/utils": "what templates call",
    "templates/weighing": "the weight of values",
    "triggers": "the walk up the key",
    "units": "durations and sizes",
}


@dataclass(frozen=True, slots=True)
class Share:
    """A module's share of the CPU time of an event, as a part of 1."""

    module: str
    one: float
    """Of one event by S3."""
    ten: float
    """Of a batch of ten from SQS."""

    @property
    def step(self) -> str:
        """What the module does."""
        return STEPS.get(self.module, "")


def spending(bench: Bench) -> list[Share]:
    """Sample both kinds of payload and return the modules, the costliest first."""
    bench.service.setup([entry()])
    handle = function(bench.service)
    keys = [f"in/orders/2026-03-14/order-{n}.csv" for n in range(10)]
    measured = []
    for payload, some in ((by_s3(keys[0]), keys[:1]), (by_sqs(*keys), keys)):
        handle(payload)
        check(bench.service.take(), some)
        counts = _sample(lambda payload=payload: handle(payload), bench.scaled(SAMPLES))  # type: ignore[misc]
        bench.service.take()
        measured.append({name: count / counts.total() for name, count in counts.items()})
    one, ten = measured
    shares = [Share(name, one.get(name, 0), ten.get(name, 0)) for name in {*one, *ten}]
    return sorted(shares, key=lambda share: (-share.one, share.module))


def _sample(call: Callable[[], object], samples: int) -> Counter[str]:
    counts: Counter[str] = Counter()

    def count(_signal: int, frame: FrameType | None) -> None:
        while frame:
            if frame.f_code.co_filename.startswith(_PACKAGE):
                module = Path(frame.f_code.co_filename).relative_to(_PACKAGE).with_suffix("")
                counts[module.as_posix()] += 1
                return
            frame = frame.f_back

    before = signal.signal(signal.SIGPROF, count)
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)
    try:
        while counts.total() < samples:
            call()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    return counts
