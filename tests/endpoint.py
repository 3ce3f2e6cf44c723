"""The name by which tests knew `tests.aws_in_memory` before."""

from tests.aws_in_memory import *  # noqa: F403
