"""Where the CPU time of an event goes, by the module that spends it.

The stack is sampled by CPU time, which slows nothing down, as a tracing profiler would.
A sample counts for the innermost module of the function that is on the stack, so that
Jinja counts for `documents`, and botocore for `sqs`.
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
    "aws/sqs": "the call of SQS: botocore, and the kernel",
    "log": "the log line",
    "templates/documents": "documents: Jinja, and JSON read back",
    "templates/environment": "what templates call",
    "templates/limits": "bounds of time and memory",
    "events": "the S3 event out of the payload",
    "dispatch": "the message as JSON",
    "sending": "messages made, and what became of them",
    "handler": "the steps themselves",
    "acknowledgement": "deliveries and what was sent",
    "decision": "which dispatches there are",
    "triggers": "the walk up the key",
    "conditions": "conditions",
    "aws/cache": "what was read from the tables",
    "dedup/protocol": "recent events",
    "aws/deadline": "the time that is left",
    "aws/threads": "calls side by side",
    "jobs": "jobs",
}


@dataclass(frozen=True, slots=True)
class Share:
    """What one module takes of an event's CPU time."""

    module: str
    one: float
    """Of one event by S3, as a part of 1."""
    ten: float
    """Of a batch of ten from SQS."""

    @property
    def step(self) -> str:
        """What the module does with an event."""
        return STEPS.get(self.module, "")


def spending(bench: Bench) -> list[Share]:
    """Sample both, and give the modules by what they take."""
    bench.service.setup([entry()])
    handle = function(bench.service)
    keys = [f"in/orders/2026-03-14/order-{n}.csv" for n in range(10)]
    found = []
    for payload, some in ((by_s3(keys[0]), keys[:1]), (by_sqs(*keys), keys)):
        handle(payload)
        check(bench.service.take(), some)
        counts = _sample(lambda payload=payload: handle(payload), bench.some(SAMPLES))  # type: ignore[misc]
        bench.service.take()
        found.append({name: count / counts.total() for name, count in counts.items()})
    one, ten = found
    shares = [Share(name, one.get(name, 0), ten.get(name, 0)) for name in {*one, *ten}]
    return sorted(shares, key=lambda each: (-each.one, each.module))


def _sample(call: Callable[[], object], samples: int) -> Counter[str]:
    counts: Counter[str] = Counter()

    def note(_signal: int, frame: FrameType | None) -> None:
        while frame:
            if frame.f_code.co_filename.startswith(_PACKAGE):
                counts[Path(frame.f_code.co_filename).stem] += 1
                return
            frame = frame.f_back

    before = signal.signal(signal.SIGPROF, note)
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)
    try:
        while counts.total() < samples:
            call()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    return counts
