"""An instance of the function that is given the same events as others at the same time.

Prints ``ready``, waits for a line, and prints the number of its dispatches at the end.
"""

import logging
import sys
from collections.abc import Sequence
from typing import Any, Final

from lava_s3trigger.aws.clients import make_clients
from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.handler import Function
from lava_s3trigger.settings import Settings
from tests.build import direct, messages, record
from tests.context import Context
from tools.local.server import REGION

_MAX_TRIES: Final = 50
_MESSAGES: Final = 10


def main(arguments: Sequence[str]) -> None:
    """Handle events until none comes again."""
    dynamodb_endpoint, sqs_endpoint, realm, table, count, number = arguments
    options: dict[str, Any] = {
        "region_name": REGION,
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }
    dynamodb, _ = make_clients(endpoint_url=dynamodb_endpoint, **options)
    _, sqs = make_clients(endpoint_url=sqs_endpoint, **options)
    settings = Settings(realm=realm, dedup_table=table, dedup_ttl=3600.0)
    function = Function(settings, dynamodb, sqs)
    dispatched = Counted()
    logging.getLogger("lava_s3trigger").addHandler(dispatched)
    waiting = {f"{number}-{n}": f"in/{n}.csv" for n in range(int(count))}
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for _ in range(_MAX_TRIES):
        if not waiting:
            break
        names = list(waiting)[:_MESSAGES]
        payload = messages(**{name: direct(record(waiting[name])) for name in names})
        try:
            answer = function(payload, Context(60.0, "request"))
        except DeliveriesFailedError:
            continue
        failed = {each["itemIdentifier"] for each in (answer or {}).get("batchItemFailures", ())}
        for name in names:
            if name not in failed:
                del waiting[name]
    sys.stdout.write(f"{dispatched.count}\n")
    sys.exit(f"never done: {waiting}" if waiting else 0)


class Counted(logging.Handler):
    """Counts the dispatches in the log."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += record.getMessage().startswith("dispatched ")


if __name__ == "__main__":
    main(sys.argv[1:])
