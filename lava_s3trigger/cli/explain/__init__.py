"""``lava-s3trigger explain``: what the function would do with an object or a payload, and why."""
