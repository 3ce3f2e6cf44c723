"""``lava-s3trigger apply``: puts trigger entries of files into a realm's table."""
