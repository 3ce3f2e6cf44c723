"""``lava-s3trigger test``: runs the cases that entries carry."""
