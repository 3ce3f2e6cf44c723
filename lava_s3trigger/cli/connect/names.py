"""Names of the parts that `connect` makes, by which it recognizes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from lava_s3trigger.cli.deployed.function import function_name

MAX_RULE_CHARACTERS: Final = 64
"""https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html"""
_MAX_SID_CHARACTERS: Final = 100
"""https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html"""
_ROOM: Final = 4
"""Characters for the number of a further rule."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names of the parts for one bucket and one function."""

    realm: str
    function: str
    bucket: str

    @property
    def _owner(self) -> str:
        """The realm, with the function if that does not have the realm's usual name."""
        is_usual = self.function == function_name(self.realm)
        return self.realm if is_usual else f"{self.realm}.{self.function}"

    def notification(self, number: int) -> str:
        """Return the id of a notification, from 1. S3 allows 255 characters."""
        return f"lava-s3trigger.{self._owner}.{number}"

    def is_notification(self, notification_id: str | None) -> bool:
        """Return whether `connect` made a notification of the bucket."""
        start, _, number = (notification_id or "").rpartition(".")
        return start == f"lava-s3trigger.{self._owner}" and number.isdecimal()

    def rule(self, number: int) -> str:
        """Return the name of a rule, from 1. The stack permits rules of the realm by name."""
        name = shortened(f"lava.{self._owner}.{self.bucket}", MAX_RULE_CHARACTERS - _ROOM)
        return name if number == 1 else f"{name}_{number}"  # names of buckets have no underscore

    @property
    def intake(self) -> str:
        """Name of the intake queue, if the stack made one."""
        return f"lava-{self.realm}-s3trigger-intake"

    @property
    def description(self) -> str:
        """The description of a rule, which distinguishes it from one that somebody made by hand."""
        return f"bucket {self.bucket} to {self.function}, by lava-s3trigger connect"

    def statement(self, source: str | None = None) -> str:
        """Return the id of a statement that lets the bucket, a rule or a topic send."""
        words = ["lava-s3trigger", self.function, source or self.bucket]
        return shortened("-".join(words).replace(".", "_"), _MAX_SID_CHARACTERS)


def name_in(arn: str) -> str:
    """Return the name at the end of an ARN of a queue, a topic or a rule."""
    return arn.rpartition(":")[2].removeprefix("rule/")


def shortened(name: str, limit: int) -> str:
    """Return a name of so many characters at most; what is cut is in a digest at its end."""
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: limit - 9]}-{digest}"
