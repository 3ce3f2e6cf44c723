"""``lava-s3trigger compare``: what two functions made of the same events, and why it differs."""
