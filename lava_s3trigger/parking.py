"""Users' mistakes, parked where an operator finds them. See docs/design.md#parking.

What is parked is a message to the dead-letter queue that, given back to the
function, runs the trigger or the job that it names, alone (`events.RedriveTarget`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from .dispatch import timestamp

if TYPE_CHECKING:
    from datetime import datetime

    from .decision import Mistake
    from .events import S3Event

# A template can make more of both than a message holds. A job id that is cut was none
# of a job (DynamoDB's keys end at 2048 bytes), and is found again by its position.
_LONGEST: Final = 2048


def parked_message(event: S3Event, mistake: Mistake, now: datetime) -> str:
    """Make the message to park: the S3 event as it came, what it is for, and why."""
    parked = {
        "trigger_id": mistake.trigger_id,
        "job_id": mistake.job_id and mistake.job_id[:_LONGEST],
        "position": mistake.position,
        "reason": mistake.reason[:_LONGEST],
        "parked_at": timestamp(now),
    }
    named = {name: value for name, value in parked.items() if value is not None}
    return json.dumps({"parked": named, "event": event.record})
