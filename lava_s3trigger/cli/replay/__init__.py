"""``lava-s3trigger replay``: S3 events for objects that are already there."""
