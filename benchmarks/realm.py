"""The entries, the payloads and the expected dispatches of the benchmarks."""

from __future__ import annotations

import json
import re
from collections import Counter
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from botocore.session import get_session

from lava_s3trigger.aws.clients import make_clients
from lava_s3trigger.handler import Function
from lava_s3trigger.settings import Settings

from .service import REALM, ROOT, LocalService, RemoteService, Seen, queue_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BUCKET: Final = "my-bucket"
REGION: Final = "ap-southeast-2"
BARE_QUEUE: Final = "bare"
"""The queue that the bare function sends to, so that its messages differ from ours."""
EVERYDAY: Final = {
    "name": "{{ utils.re.sub('[^a-z]+', '-', key) }}",
    "kib": "{{ info.size // 1024 }}",
    "month": "{{ '%02d' % info.event_time.month }}",
}
"""Parameters as users write them: a regular expression, a division, a month of two digits."""

_ACCESS: Final[dict[str, Any]] = {
    "aws_access_key_id": "none",
    "aws_secret_access_key": "none",
    "region_name": REGION,
}
_TIME: Final = "2026-03-14T01:59:26.535000+00:00"
_ADDRESS: Final = "203.0.113.7"


def entry(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return an entry of the s3triggers table, like those that users write."""
    return {
        "trigger_id": f"trigger-{number:05}",
        "bucket": BUCKET,
        "prefix": "in",
        "enabled": True,
        "if_fnmatch": "*.csv",
        "job_id": "job0",
        "globals": {"bucket": "{{bucket}}", "key": "{{key}}"},
        "parameters": {
            "env": {
                "BUCKET": "{{bucket}}",
                "KEY": "{{key}}",
                "IP": "{{info.source_ip}}",
                "EVENT_TIME": "{{info.event_time.isoformat()}}",
            }
        },
        **changes,
    }


def entries(count: int, size: int = 0) -> list[dict[str, Any]]:
    """Return entries that match nothing.

    Args:
        count: Number of entries.
        size: Bytes of each beyond some 300.
    """
    more = {"description": "x" * size} if size else {}
    return [entry(n, prefix=f"other/{n:05}", **more) for n in range(1, count + 1)]


def expected(key: str, worker: int = 0) -> dict[str, Any]:
    """Return the dispatch that `entry` causes for an object, without run id and time."""
    return {
        "realm": REALM,
        "worker": f"worker{worker}",
        "job_id": f"job{worker}",
        "parameters": {
            "env": {"BUCKET": BUCKET, "KEY": key, "IP": _ADDRESS, "EVENT_TIME": _TIME},
        },
        "globals": {"bucket": BUCKET, "key": key},
    }


def everyday_parameters(key: str) -> dict[str, Any]:
    """Return the parameters that `EVERYDAY` renders to."""
    size = by_s3(key)["Records"][0]["s3"]["object"]["size"]
    return {"name": re.sub("[^a-z]+", "-", key), "kib": str(size // 1024), "month": "03"}


def check(
    seen: Seen, keys: Iterable[str], times: int = 1, worker: Callable[[str], int] = lambda _: 0
) -> Seen:
    """Check that each object was dispatched so many times, and that nothing else was.

    Args:
        seen: What the service received.
        keys: The keys of the objects.
        times: Dispatches of each.
        worker: Returns the number of the worker of a key.

    Raises:
        AssertionError: A message is wrong, missing or too many.
    """
    wanted: Counter[str] = Counter()
    for key in keys:
        number = worker(key)
        wanted[_canonical(f"lava-{REALM}-worker{number}", expected(key, number))] += times
    arrived: Counter[str] = Counter()
    run_ids = set()
    for queue, text in seen.sent:
        if queue != BARE_QUEUE:
            message = json.loads(text)
            run_ids.add(message.pop("run_id"))
            del message["ts_dispatch"]
            arrived[_canonical(queue, message)] += 1
    if arrived != wanted or len(run_ids) != wanted.total():
        wrong = next(iter((arrived - wanted) | (wanted - arrived)), "a run id comes twice")
        raise AssertionError(f"{arrived.total()} messages, not {wanted.total()}: {wrong}")
    return seen


def _canonical(queue: str, message: dict[str, Any]) -> str:
    return f"{queue} {json.dumps(message, sort_keys=True)}"


def function(service: RemoteService | LocalService, **settings: Any) -> Function:
    """Return a function whose cache outlives the benchmark."""
    if isinstance(service, RemoteService):
        clients = make_clients(endpoint_url=service.endpoint, **_ACCESS)
    else:
        clients = service.client, service.client
    return Function(Settings(realm=REALM, cache_ttl=3600, **settings), *clients)


def bare(service: RemoteService, *, is_usual: bool = False) -> Callable[[int], None]:
    """Return the bare function, which sends a number of constant messages in one call.

    Args:
        service: The service to call.
        is_usual: Whether its client is as boto3 makes it, which checks parameters.
            Otherwise it is a client like the function's.
    """
    if is_usual:
        sqs: Any = get_session().create_client("sqs", endpoint_url=service.endpoint, **_ACCESS)
    else:
        _, sqs = make_clients(endpoint_url=service.endpoint, **_ACCESS)
    body = constant_message()
    url = queue_url(BARE_QUEUE)

    def send(count: int) -> None:
        sqs.send_message_batch(
            QueueUrl=url,
            Entries=[{"Id": str(n), "MessageBody": body, "DelaySeconds": 0} for n in range(count)],
        )

    return send


def constant_message() -> str:
    """Return a message like those that the function sends, of the same length."""
    dated = {
        "run_id": "4b3c55c7-3d3c-4f5a-9d1c-0d3f8a1f2b6e",
        "ts_dispatch": "2026-03-14T01:59:27+00:00",
    }
    return json.dumps(expected("in/orders/2026-03-14/order-1.csv") | dated)


def _sample(name: str) -> Any:
    return json.loads((ROOT / "events" / f"{name}.json").read_text())


def by_s3(*keys: str) -> dict[str, Any]:
    """Return an S3 notification with one record for each key."""
    [record] = _sample("s3-created")["Records"]
    records = []
    for key in keys:
        records.append(deepcopy(record))
        records[-1]["s3"]["object"]["key"] = key
    return {"Records": records}


def by_sns(*keys: str) -> dict[str, Any]:
    """Return an SNS payload with one notification for each key."""
    [record] = _sample("sns-s3")["Records"]
    return {
        "Records": [
            record | {"Sns": record["Sns"] | {"Message": json.dumps(by_s3(key))}} for key in keys
        ]
    }


def by_eventbridge(key: str) -> dict[str, Any]:
    """Return an EventBridge event."""
    payload: dict[str, Any] = _sample("eventbridge-created")
    payload["time"] = _TIME.replace("+00:00", "Z")
    payload["detail"]["bucket"]["name"] = BUCKET
    payload["detail"]["object"]["key"] = key
    payload["detail"]["source-ip-address"] = _ADDRESS
    return payload


def by_sqs(*keys: str) -> dict[str, Any]:
    """Return an SQS batch with one message for each key."""
    [message] = _sample("sqs-s3")["Records"]
    return {
        "Records": [
            message | {"messageId": f"m{n}", "body": json.dumps(by_s3(key))}
            for n, key in enumerate(keys)
        ]
    }
