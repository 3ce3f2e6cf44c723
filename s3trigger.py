"""The function, under the name by which lava's own realm stack calls it."""

from lava_s3trigger.handler import lambda_handler

__all__ = ["lambda_handler"]
