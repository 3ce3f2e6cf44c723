"""Checks of the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.doctor.aws_commands import aws
from lava_s3trigger.cli.doctor.registry import Fault, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment, Json

_READ: Final = ("dynamodb:DescribeTable",)
_INDEX: Final = "s3trigger-index"
_KEYS: Final = [
    {"AttributeName": "bucket", "KeyType": "HASH"},
    {"AttributeName": "prefix", "KeyType": "RANGE"},
]
_INDEX_TO_MAKE: Final = {
    "IndexName": _INDEX,
    "KeySchema": _KEYS,
    "Projection": {"ProjectionType": "ALL"},
}


@check("error", _READ)
def table_missing(deployed: Deployment) -> Iterator[Fault]:
    """A table of the realm does not exist.

    Every event fails.
    """
    triggers, jobs = f"lava.{deployed.realm}.s3triggers", f"lava.{deployed.realm}.jobs"
    indexes = [_INDEX_TO_MAKE]
    for name, command in (
        (
            triggers,
            _creating(triggers, "trigger_id", "bucket", "prefix", global_secondary_indexes=indexes),
        ),
        (jobs, _creating(jobs, "job_id")),
    ):
        if deployed.table(name) is None:
            yield Fault(name, "the table does not exist", command)


@check("error", _READ)
def index_missing(deployed: Deployment) -> Iterator[Fault]:
    """The table of triggers lacks the index by bucket and prefix.

    The function finds triggers by it, so every event fails.
    """
    name = f"lava.{deployed.realm}.s3triggers"
    table = deployed.table(name)
    if table is None:
        return
    indexes = {index["IndexName"]: index for index in table.get("GlobalSecondaryIndexes", [])}
    if _INDEX not in indexes:
        change = aws(
            "dynamodb update-table",
            table_name=name,
            attribute_definitions=_attributes("bucket", "prefix"),
            global_secondary_index_updates=[{"Create": {**_INDEX_TO_MAKE, **_throughput(table)}}],
        )
        command = f"{change}\n{_waiting(name)}"
        yield Fault(name, f"the index {_INDEX} does not exist", command)


@check("error", _READ)
def dedup_table_missing(deployed: Deployment) -> Iterator[Fault]:
    """The table of recent events does not exist.

    Instances do not know each other's events, so duplicates are dispatched twice.
    """
    name = deployed.environment.get("S3TRIGGER_DEDUP_TABLE")
    if name and deployed.table(name) is None:
        command = f"{_creating(name, 'id')}\n{_expiring(name)}"
        yield Fault(name, "the table does not exist", command)


@check("warning", [*_READ, "dynamodb:DescribeTimeToLive"])
def dedup_table_grows(deployed: Deployment) -> Iterator[Fault]:
    """The table of recent events never deletes them.

    It grows with every event, and its storage costs more each month.
    """
    name = deployed.environment.get("S3TRIGGER_DEDUP_TABLE")
    if not name or deployed.table(name) is None:
        return
    answer = deployed.read("dynamodb", "describe_time_to_live", TableName=name) or {}
    time_to_live = answer.get("TimeToLiveDescription", {})
    if time_to_live.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:
        yield Fault(name, "its time to live is off", _expiring(name))


def _creating(name: str, key: str, *others: str, **options: Any) -> str:
    """Return the commands that make a table, given its key and the keys of its indexes."""
    create = aws(
        "dynamodb create-table",
        table_name=name,
        billing_mode="PAY_PER_REQUEST",
        attribute_definitions=_attributes(key, *others),
        key_schema=[{"AttributeName": key, "KeyType": "HASH"}],
        **options,
    )
    return f"{create}\n{_waiting(name)}"


def _waiting(name: str) -> str:
    return aws("dynamodb wait table-exists", table_name=name)


def _throughput(table: Json) -> Json:
    """Return the throughput that an index needs: the table's own, where that is provisioned."""
    if table.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST":
        return {}
    names = ("ReadCapacityUnits", "WriteCapacityUnits")
    throughput = table.get("ProvisionedThroughput", {})
    return {"ProvisionedThroughput": {name: max(1, int(throughput.get(name, 1))) for name in names}}


def _expiring(name: str) -> str:
    return aws(
        "dynamodb update-time-to-live",
        table_name=name,
        time_to_live_specification={"Enabled": True, "AttributeName": "expires"},
    )


def _attributes(*names: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": "S"} for name in names]
