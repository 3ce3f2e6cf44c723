"""Payloads with the shapes that AWS sends, one for each kind of event, and their `info`.

`cases.csv` has the seven elements of `info` for each payload; an empty address is None.
Names, ids and addresses are made up. The fields that are present, and those that are
missing, are as AWS sends them: docs/design.md#what-events-leave-out. AWS publishes no record of
S3 of `ObjectAnnotation:*`: those here leave out what EventBridge's events of them leave out.
"""

import csv
import json
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent


def cases() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Return each payload with the `info` that it must give, by the name of its file."""
    with (FOLDER / "cases.csv").open(encoding="utf-8", newline="") as table:
        return {
            row["file"]: (json.loads((FOLDER / f"{row['file']}.json").read_text()), _info(row))
            for row in csv.DictReader(table)
        }


def _info(row: dict[str, str]) -> dict[str, Any]:
    address = row["source_ip"]
    return {
        "bucket": row["bucket"],
        "key": row["key"],
        "size": int(row["size"]),
        "event_time": datetime.fromisoformat(row["event_time"]),
        "event_type": row["event_type"],
        "source_ip": ip_address(address) if address else None,
        "aws_region": row["aws_region"],
    }
