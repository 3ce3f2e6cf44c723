"""The rules of `lava-s3trigger check`, one module for each subject."""
