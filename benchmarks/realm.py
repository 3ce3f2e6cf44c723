"""What the function finds in its tables, what it is handed, and what it must send."""

from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from botocore.session import get_session

from lava_s3trigger.aws.clients import make_clients
from lava_s3trigger.handler import Function
from lava_s3trigger.settings import Settings

from .service import ROOT, LocalService, RemoteService, Seen, queue_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REALM: Final = "bench"
BUCKET: Final = "my-bucket"
REGION: Final = "ap-southeast-2"
BARE_QUEUE: Final = "bare"
"""What the bare function sends to, so that its messages are told from ours."""

_ACCESS: Final[dict[str, Any]] = {
    "aws_access_key_id": "none",
    "aws_secret_access_key": "none",
    "region_name": REGION,
}
_TIME: Final = "2026-03-14T01:59:26.535000+00:00"
_ADDRESS: Final = "203.0.113.7"


def entry(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Give an entry of the s3triggers table, like those that users write."""
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
    """Give entries that match nothing, of some 300 bytes and so many more."""
    more = {"description": "x" * size} if size else {}
    return [entry(n, prefix=f"other/{n:05}", **more) for n in range(1, count + 1)]


def expected(key: str, worker: int = 0) -> dict[str, Any]:
    """Give the dispatch for an object, as `entry` has it, without run id and time."""
    return {
        "realm": REALM,
        "worker": f"worker{worker}",
        "job_id": f"job{worker}",
        "parameters": {
            "env": {"BUCKET": BUCKET, "KEY": key, "IP": _ADDRESS, "EVENT_TIME": _TIME},
        },
        "globals": {"bucket": BUCKET, "key": key},
    }


def check(
    seen: Seen, keys: Iterable[str], times: int = 1, worker: Callable[[str], int] = lambda _: 0
) -> Seen:
    """Check that each object was dispatched so many times, and nothing else.

    Raises:
        AssertionError: A wrong answer is no result.
    """
    wanted: Counter[str] = Counter()
    for key in keys:
        number = worker(key)
        wanted[_canonical(f"lava-{REALM}-worker{number}", expected(key, number))] += times
    found: Counter[str] = Counter()
    run_ids = set()
    for queue, text in seen.sent:
        if queue != BARE_QUEUE:
            message = json.loads(text)
            run_ids.add(message.pop("run_id"))
            del message["ts_dispatch"]
            found[_canonical(queue, message)] += 1
    if found != wanted or len(run_ids) != wanted.total():
        wrong = next(iter((found - wanted) | (wanted - found)), "a run id comes twice")
        raise AssertionError(f"{found.total()} messages, not {wanted.total()}: {wrong}")
    return seen


def _canonical(queue: str, message: dict[str, Any]) -> str:
    return f"{queue} {json.dumps(message, sort_keys=True)}"


def function(service: RemoteService | LocalService, **settings: Any) -> Function:
    """Make the function; what it reads is remembered for longer than a benchmark lasts."""
    if isinstance(service, RemoteService):
        clients = make_clients(endpoint_url=service.endpoint, **_ACCESS)
    else:
        clients = service.client, service.client
    return Function(Settings(realm=REALM, cache_ttl=3600, **settings), *clients)


def bare(service: RemoteService, *, is_usual: bool = False) -> Callable[[int], None]:
    """Make the bare function: one call, of so many constant messages.

    Args:
        service: What it calls.
        is_usual: Whether its client is as boto3 makes it, which checks parameters. Else
            it is the one that the function has.
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
    """Give a message like those that the function sends, of the same length."""
    dated = {
        "run_id": "4b3c55c7-3d3c-4f5a-9d1c-0d3f8a1f2b6e",
        "ts_dispatch": "2026-03-14T01:59:27+00:00",
    }
    return json.dumps(expected("in/orders/2026-03-14/order-1.csv") | dated)


def _sample(name: str) -> Any:
    return json.loads((ROOT / "events" / f"{name}.json").read_text())


def by_s3(*keys: str) -> dict[str, Any]:
    """Give what S3 hands the function, one record for each key."""
    [record] = _sample("s3-created")["Records"]
    records = []
    for key in keys:
        records.append(deepcopy(record))
        records[-1]["s3"]["object"]["key"] = key
    return {"Records": records}


def by_sns(*keys: str) -> dict[str, Any]:
    """Give what SNS hands the function."""
    [record] = _sample("sns-s3")["Records"]
    return {
        "Records": [
            record | {"Sns": record["Sns"] | {"Message": json.dumps(by_s3(key))}} for key in keys
        ]
    }


def by_eventbridge(key: str) -> dict[str, Any]:
    """Give what EventBridge hands the function."""
    payload: dict[str, Any] = _sample("eventbridge-created")
    payload["time"] = _TIME.replace("+00:00", "Z")
    payload["detail"]["bucket"]["name"] = BUCKET
    payload["detail"]["object"]["key"] = key
    payload["detail"]["source-ip-address"] = _ADDRESS
    return payload


def by_sqs(*keys: str) -> dict[str, Any]:
    """Give what Lambda's pollers hand the function, one message for each key."""
    [message] = _sample("sqs-s3")["Records"]
    return {
        "Records": [
            message | {"messageId": f"m{n}", "body": json.dumps(by_s3(key))}
            for n, key in enumerate(keys)
        ]
    }
