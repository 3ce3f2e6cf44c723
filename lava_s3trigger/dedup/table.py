"""The memory of recent events that all instances share: claims in a DynamoDB table.

An instance claims an S3 event, then sends its dispatches, then confirms it; if that fails, it
releases the event. Each step is one conditional write, so the table decides who was first.
docs/duplicates.md has the protocol, its reasons and what was proven about it.

An item, by the dedup key of the event (`memory.dedup_digest`):

- ``state``: ``claimed``, ``done`` or ``failed``;
- ``until``: seconds since the epoch: the end of a claim's lease, or of the time in which the
  same event is a duplicate of a completed one; 0 for a failed one;
- ``token``: the attempt that wrote it; ``owner``: the delivery of that attempt;
- ``sent``: what was carried out for a failed event, and the id of its replay;
- ``returning``: deliveries that came while another one was in progress;
- ``expires``: when DynamoDB may delete it.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from lava_s3trigger.sent import SentRecord

from .protocol import Claim, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mypy_boto3_dynamodb import DynamoDBClient

KEPT_SECONDS: Final = 24 * 3600
"""Seconds for which an item is kept: longer than Lambda retries an event (6 hours)."""

MAX_SET_BYTES: Final = 128 * 1024
"""Bytes of a set in an item; DynamoDB's items have at most 400 KB."""
MAX_RETURNING: Final = 2000
"""Deliveries that are recorded as returning."""


class ClaimTable:
    """The table of claims.

    Args:
        client: Client of DynamoDB.
        table: Name of the table.
        ttl: Seconds within which the same event is a duplicate.
        now: Returns the seconds since the epoch; the clocks of instances agree well enough.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        ttl: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._table = table
        self._ttl = ttl
        self._now = now

    def claim(
        self,
        key: str,
        owner: str,
        lease: float,
        has_time: Callable[[], bool] = lambda: True,
    ) -> Claim:
        """Claim an event for a delivery.

        Args:
            key: The dedup key of the event.
            owner: Id of its delivery.
            lease: Seconds after which the claim expires; by then whoever made it has
                settled it, or no longer runs.
            has_time: Returns whether there is time for a second call, where one is needed.
        """
        token, now = str(uuid.uuid4()), self._now()
        try:
            before = self._write(
                key,
                "SET #state = :state, #owner = :owner, #token = :token, #until = :until,"
                " #expires = :expires",
                # There is no item, or this same call wrote it and the reply was lost, or it
                # has expired. But an event that was completed for this delivery, or while this
                # delivery was returning, stays completed, however late the delivery comes.
                "attribute_not_exists(#id) OR (#token = :token AND #state = :state)"
                " OR (#until <= :now AND NOT (#state = :done"
                " AND (#owner = :owner OR contains(#returning, :owner))))",
                state=_text("claimed"),
                owner=_text(owner),
                token=_text(token),
                until=_number(now + lease),
                now=_number(now),
                done=_text("done"),
                expires=self._expiry(),
            )
        except ClientError as error:
            held = _held(error)
            if held is None:
                return Claim(key, Verdict.UNKNOWN, token, error=str(error))
            if held.get("state") == _text("done"):
                return Claim(key, Verdict.DUPLICATE, token)
            if has_time():
                self._note_return(key, owner, held)
            return Claim(key, Verdict.BUSY, token)
        except BotoCoreError as error:
            return Claim(key, Verdict.UNKNOWN, token, error=str(error))
        sent = _read_sent(before.get("sent", {}).get("SS", ()))
        return Claim(key, Verdict.WORK, token, sent)

    def _note_return(self, key: str, owner: str, held: dict[str, Any]) -> None:
        """Record that a delivery came while another one was in progress, and will come again.

        It is a duplicate then too, however late that is. If this cannot be recorded, and it comes
        after the TTL, it is carried out.
        """
        known = held.get("returning", {}).get("SS", ())
        if owner in known or len(known) >= MAX_RETURNING:
            return
        with contextlib.suppress(ClientError, BotoCoreError):
            self._write(
                key,
                "ADD #returning :returning",
                "attribute_exists(#id)",
                returning={"SS": [owner]},
            )

    def confirm(self, claim: Claim) -> str | None:
        """Record that the event is completed.

        Returns:
            The reason, if that fails; the event is completed anyway.
        """
        return self._settle(claim, "done", self._now() + self._ttl, " REMOVE #sent")

    def release(self, claim: Claim, sent: SentRecord) -> str | None:
        """Release a failed event, and record what was carried out for it anyway.

        Returns:
            The reason, if that fails; then its lease expires.
        """
        if texts := _write_sent(sent, claim.sent):
            return self._settle(claim, "failed", 0, ", #sent = :sent", sent={"SS": texts})
        return self._settle(claim, "failed", 0)

    def _settle(
        self, claim: Claim, state: str, until: float, more: str = "", **values: dict[str, Any]
    ) -> str | None:
        """Write the outcome of a claim, unless another attempt has taken it over."""
        try:
            self._write(
                claim.key,
                f"SET #state = :state, #until = :until, #expires = :expires{more}",
                "#token = :token",
                state=_text(state),
                until=_number(until),
                token=_text(claim.token),
                expires=self._expiry(),
                **values,
            )
        except (ClientError, BotoCoreError) as error:
            return str(error)
        return None

    def _write(
        self, key: str, update: str, condition: str, **values: dict[str, Any]
    ) -> dict[str, Any]:
        """Write to an item under a condition, and return what it was before."""
        names = re.findall(r"#(\w+)", f"{update} {condition}")
        answer = self._client.update_item(
            TableName=self._table,
            Key={"id": _text(key)},
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeNames={f"#{name}": name for name in names},
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
            ReturnValues="ALL_OLD",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        return dict(answer.get("Attributes", {}))

    def _expiry(self) -> dict[str, str]:
        return _number(int(self._now() + max(self._ttl, KEPT_SECONDS)))


def _write_sent(sent: SentRecord, known: SentRecord) -> list[str]:
    """Write what was carried out as members of a set, each with its count."""
    jobs, parked = sent.jobs, sent.parked
    if sent.replay == known.replay:
        jobs, parked = jobs | known.jobs, parked | known.parked
    # The latest dispatches first, in case an item has no room for all.
    facts: list[tuple[str, str | None, int]] = [
        *((trigger_id, None, 1) for trigger_id in sorted(parked)),
        *((trigger_id, job_id, count) for (trigger_id, job_id), count in jobs.items()),
    ]
    texts, total = [], 0
    for fact in facts:
        text = json.dumps(fact)
        total += len(text)
        if total > MAX_SET_BYTES:
            break
        texts.append(text)
    if texts and sent.replay is not None:
        texts.append(json.dumps({"replay": sent.replay}))
    return sorted(texts)


def _read_sent(texts: Iterable[str]) -> SentRecord:
    sent = SentRecord()
    for text in texts:
        match json.loads(text):
            case {"replay": replay}:
                sent.replay = replay
            case [trigger_id, None, _]:
                sent.parked.add(trigger_id)
            case [trigger_id, job_id, count]:
                sent.jobs[trigger_id, job_id] = count
    return sent


def _text(value: str) -> dict[str, str]:
    return {"S": value}


def _number(value: float) -> dict[str, str]:
    return {"N": repr(value)}


def _held(error: ClientError) -> dict[str, Any] | None:
    """Return the item with which the condition of a write failed, if there is one."""
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        return None
    item: dict[str, Any] = error.response.get("Item", {})  # type: ignore[assignment]
    return item
