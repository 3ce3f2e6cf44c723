"""``lava-s3trigger tail``: the function's log, for people."""
