"""The memory of recent events that all instances share: claims in a DynamoDB table.

Whoever works on an S3 event first claims it, then sends, then confirms; what fails
is released. Each step is one conditional write, so the table decides who was first.
The protocol, with its reasons and what was proven of it, is in docs/duplicates.md.

An item, by the likeness of the event (`duplicates`):

- ``state``: ``claimed``, ``done`` or ``failed``;
- ``until``: seconds since the epoch; of a claim, when its lease runs out; of what
  is done, until when the same event is a duplicate; of what failed, 0;
- ``token``: the attempt that wrote it, ``owner``: the delivery that this was for;
- ``sent``: of what failed, what was sent all the same;
- ``returning``: deliveries that came while another was worked on;
- ``expires``: when DynamoDB may delete it.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from .protocol import Claim, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mypy_boto3_dynamodb import DynamoDBClient

REMEMBERED: Final = 24 * 3600
"""Seconds for which an item is kept: longer than Lambda tries an event again (6 hours)."""

_MOST: Final = 2000
"""Members of a set in an item, which DynamoDB holds to 400 KB."""


class ClaimTable:
    """The table of claims.

    Args:
        client: Client of DynamoDB.
        table: Name of the table.
        ttl: Seconds within which the same event is a duplicate.
        now: Gives the seconds since the epoch; instances' clocks agree well enough.
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
        likeness: str,
        owner: str,
        lease: float,
        has_time: Callable[[], bool] = lambda: True,
    ) -> Claim:
        """Claim an event for a delivery.

        Args:
            likeness: What the event has in common with its duplicates.
            owner: The delivery that it came by.
            lease: Seconds after which the claim no longer holds; by then whoever
                made it is done with it, or has come to an end.
            has_time: Tells whether there is time for a second call, should one be due.
        """
        token, now = str(uuid.uuid4()), self._now()
        try:
            before = self._write(
                likeness,
                "SET #state = :state, #owner = :owner, #token = :token, #until = :until,"
                " #expires = :expires",
                # There is none; or it is of this very call, of which a reply was lost;
                # or it no longer holds. But what was done by this delivery itself, or
                # while it was to come again, stays done, however late it does.
                "attribute_not_exists(#id) OR (#token = :token AND #state = :state)"
                " OR (#until <= :now AND NOT (#state = :done"
                " AND (#owner = :owner OR contains(#returning, :owner))))",
                state=_text("claimed"),
                owner=_text(owner),
                token=_text(token),
                until=_number(now + lease),
                now=_number(now),
                done=_text("done"),
                expires=self._expiry(now),
            )
        except ClientError as error:
            held = _held(error)
            if held is None:
                return Claim(likeness, Verdict.UNKNOWN, token, error=str(error))
            if held.get("state") == _text("done"):
                return Claim(likeness, Verdict.DUPLICATE, token)
            if has_time():
                self._note_return(likeness, owner, held)
            return Claim(likeness, Verdict.BUSY, token)
        except BotoCoreError as error:
            return Claim(likeness, Verdict.UNKNOWN, token, error=str(error))
        sent = before.get("sent", {}).get("SS", ())
        return Claim(likeness, Verdict.WORK, token, frozenset(sent))

    def _note_return(self, likeness: str, owner: str, held: dict[str, Any]) -> None:
        """Note that a delivery came while another was worked on, and will come again.

        It is a duplicate then too, though that may be long after. Where this cannot
        be noted it is still given back, and dispatched if it comes too late.
        """
        known = held.get("returning", {}).get("SS", ())
        if owner in known or len(known) >= _MOST:
            return
        with contextlib.suppress(ClientError, BotoCoreError):
            self._write(
                likeness,
                "ADD #returning :returning",
                "attribute_exists(#id)",
                returning={"SS": [owner]},
            )

    def confirm(self, claim: Claim) -> str | None:
        """Note that all the event should cause was sent or parked.

        Returns:
            Why that could not be noted, if so; the event is done all the same.
        """
        now = self._now()
        return self._settle(
            claim,
            "SET #state = :state, #until = :until, #expires = :expires REMOVE #sent",
            state=_text("done"),
            until=_number(now + self._ttl),
            expires=self._expiry(now),
        )

    def release(self, claim: Claim, sent: Iterable[str]) -> str | None:
        """Give an event back that has failed, with what was sent for it all the same.

        Returns:
            Why that could not be noted, if so; the lease runs out then.
        """
        update, values = "SET #state = :state, #until = :until, #expires = :expires", {}
        # What was sent just now is kept first, should that be more than an item holds.
        if everything := sorted(list(dict.fromkeys([*sent, *claim.sent]))[:_MOST]):
            update += ", #sent = :sent"
            values = {"sent": {"SS": everything}}
        return self._settle(
            claim,
            update,
            state=_text("failed"),
            until=_number(0),
            expires=self._expiry(self._now()),
            **values,
        )

    def _settle(self, claim: Claim, update: str, **values: dict[str, Any]) -> str | None:
        """Write what became of a claim, unless it was lost to another."""
        try:
            self._write(
                claim.likeness, update, "#token = :token", token=_text(claim.token), **values
            )
        except (ClientError, BotoCoreError) as error:
            return str(error)
        return None

    def _write(
        self, likeness: str, update: str, condition: str, **values: dict[str, Any]
    ) -> dict[str, Any]:
        """Write to an item under a condition, and give what it was before."""
        names = {"id", "returning", "sent", *values} - {"now", "done"}
        said = f"{update} {condition}"
        answer = self._client.update_item(
            TableName=self._table,
            Key={"id": _text(likeness)},
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeNames={f"#{n}": n for n in sorted(names) if f"#{n}" in said},
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
            ReturnValues="ALL_OLD",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        return dict(answer.get("Attributes", {}))

    def _expiry(self, now: float) -> dict[str, str]:
        return _number(int(now + max(self._ttl, REMEMBERED)))


def _text(value: str) -> dict[str, str]:
    return {"S": value}


def _number(value: float) -> dict[str, str]:
    return {"N": repr(value)}


def _held(error: ClientError) -> dict[str, Any] | None:
    """Give the item that stood in the way of a write, if one did."""
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        return None
    item: dict[str, Any] = error.response.get("Item", {})  # type: ignore[assignment]
    return item
