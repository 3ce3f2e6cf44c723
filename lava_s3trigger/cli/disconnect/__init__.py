"""``lava-s3trigger disconnect``: removes what `connect` made for a bucket."""
