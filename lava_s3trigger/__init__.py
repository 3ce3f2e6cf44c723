"""Turns S3 events into lava job dispatches, as an AWS Lambda function."""

from typing import Final

__version__: Final = "0.1.0"
