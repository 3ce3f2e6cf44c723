"""``lava-s3trigger disconnect``: takes away what `connect` made for a bucket."""
