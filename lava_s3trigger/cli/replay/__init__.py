"""``lava-s3trigger replay``: S3 events for existing objects."""
