"""``lava-s3trigger check``: lints entries of files, or of a realm."""
