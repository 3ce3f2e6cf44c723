"""Turns S3 events into lava job dispatches, as an AWS Lambda function."""
