"""``lava-s3trigger connect``: connects a bucket to the function, for what its entries need."""
