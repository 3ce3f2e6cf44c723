"""Turns S3 events into lava job dispatches, as an AWS Lambda function."""

__version__ = "0.1.0"
"""The version of the function and of the command line. No other file states it."""
