"""``lava-s3trigger plan``: what a change of entries would do to many objects."""
