"""``lava-s3trigger dead-letters``: what waits in dead-letter queues."""
