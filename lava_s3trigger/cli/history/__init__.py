"""``lava-s3trigger history``: what happened to an object, and what would happen to it now."""
