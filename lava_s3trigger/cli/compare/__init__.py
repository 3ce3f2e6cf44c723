"""``lava-s3trigger compare``: what two functions did with the same events, and why it differs."""
