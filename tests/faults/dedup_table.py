"""The name by which tests knew `tests.aws_in_memory.aws.update_item` before."""

from tests.aws_in_memory.aws import update_item as update_item  # noqa: PLC0414 - re-exported
