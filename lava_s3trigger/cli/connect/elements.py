"""Elements of S3's answers that botocore does not know: putting a configuration would lose them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from lava_s3trigger.cli.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator


def refuse_unknown_elements(client: Any) -> None:
    """Make a client of S3 raise for a notification configuration with unknown elements.

    botocore drops elements that its model lacks.
    """
    event = "before-parse.s3.GetBucketNotificationConfiguration"
    client.meta.events.register(event, _look)


def _look(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    if response_dict["status_code"] != 200:  # noqa: PLR2004 - HTTP's
        return
    root = ET.fromstring(response_dict["body"])  # noqa: S314 - from AWS, and without entities
    path = next(unknown_elements(operation_model.output_shape, root), None)
    if path:
        raise CommandError(
            f"the notifications of the bucket have {path}, which this version of boto3 does not"
            " know, and would remove: update boto3"
        )


def unknown_elements(shape: Any, element: ET.Element) -> Iterator[str]:
    """Yield the names of elements that a shape of botocore's model has no member for."""
    if shape.type_name != "structure":
        return
    members = {
        member.serialization.get("name", name): member for name, member in shape.members.items()
    }
    for child in element:
        name = child.tag.rpartition("}")[2]
        member = members.get(name)
        if member is None:
            yield name
        else:
            yield from unknown_elements(
                member.member if member.type_name == "list" else member, child
            )
