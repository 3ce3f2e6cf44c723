"""The deployed realm, as far as `explain` looks at it: function, queues of workers, routes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.deployed.function import find_function, function_name
from lava_s3trigger.cli.deployed.realm import Deployment, UnreadableError
from lava_s3trigger.cli.entries.memory import MAX_DELAY
from lava_s3trigger.cli.errors import COULD_NOT_TELL, NO, YES, CommandError
from lava_s3trigger.cli.output.streams import message
from lava_s3trigger.cli.routes.connection import Connection, connection_of

if TYPE_CHECKING:
    from lava_s3trigger.cli.deployed.aws import Aws
    from lava_s3trigger.cli.deployed.function import DeployedFunction

    Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DeployedRealm:
    """What an event meets in a realm."""

    deployment: Deployment
    function: DeployedFunction | None
    """None where its configuration could not be read."""
    unread: str | None = None
    """Why it could not be read."""
    _refused: set[str] = field(default_factory=set, repr=False)
    """Queues whose refusal was reported."""

    @property
    def max_delay(self) -> float:
        """Longest delay in seconds that an entry may ask for."""
        return self.function.settings.max_delay if self.function else MAX_DELAY

    def has_queue(self, name: str) -> bool | None:
        """Return whether there is a queue; None if AWS refuses to say."""
        try:
            return self.deployment.has_queue(name)
        except UnreadableError as error:
            if name not in self._refused:
                self._refused.add(name)
                message(f"AWS refused {error.action} of queue {name}: {error.reason}")
            return None

    def connection(self, record: Json) -> Connection:
        """Return how the event of a record of S3 reaches the function."""
        if self.function is None:
            return Connection(unknown=(str(self.unread),))
        return connection_of(self.deployment, record)

    def json(self) -> Json:
        """Return the function as JSON, with whether it dispatches at all."""
        function = self.function
        if function is None:
            verdict: Json = {"dispatches": None, "reason": self.unread}
        elif function.unusable:
            reason = f"it cannot start: {'; '.join(function.unusable.values())}"
            verdict = {"dispatches": False, "reason": reason}
        elif function.is_observing:
            reason = "it only observes: it decides, and dispatches nothing"
            verdict = {"dispatches": False, "reason": reason}
        else:
            verdict = self._concurrency()
        settings = function.settings if function else None
        return {
            "name": self.deployment.function_name,
            **verdict,
            "max_delay": settings.max_delay if settings else None,
            "cache_ttl": settings.cache_ttl if settings else None,
        }

    def _concurrency(self) -> Json:
        """Return whether Lambda runs the function at all."""
        name = self.deployment.function_name
        try:
            answer = self.deployment.read("lambda", "get_function_concurrency", FunctionName=name)
        except UnreadableError as error:
            reason = f"AWS refused {error.action}: {error.reason}"
            return {"dispatches": None, "reason": reason}
        if (answer or {}).get("ReservedConcurrentExecutions") == 0:
            reason = "its reserved concurrency is 0: Lambda does not run it"
            return {"dispatches": False, "reason": reason}
        return {"dispatches": True, "reason": None}


def find_deployed_realm(aws: Aws, realm: str, function: str | None) -> DeployedRealm:
    """Find the function of a realm.

    Args:
        aws: Where it is.
        realm: Name of the realm.
        function: Name of the function, if not as the stack names it.

    Raises:
        CommandError: The function is of another realm.
    """
    deployment = Deployment(aws, realm, function or function_name(realm))
    try:
        return DeployedRealm(deployment, find_function(aws, realm, function))
    except CommandError as error:
        if error.status != COULD_NOT_TELL:
            raise
        return DeployedRealm(deployment, None, str(error))


def status_of(document: Json) -> int:
    """Return the exit status for what `explain` prints."""
    verdicts = [
        _arrives(event, document["function"])
        for event in document["events"]
        if event["outcome"] == "dispatched"
    ]
    if True in verdicts:
        return YES
    return COULD_NOT_TELL if None in verdicts else NO


def _arrives(event: Json, function: Json | None) -> bool | None:
    """Return whether a dispatch arrives, as far as it was looked at; None if that is unknown."""
    if function is None:
        return True
    connection = event["connection"]
    has_queue = any(job["queue_exists"] for trigger in event["triggers"] for job in trigger["jobs"])
    known = [function["dispatches"], connection["arrives"] if connection else True]
    if False in known:
        return False
    return None if None in known or not has_queue else True
