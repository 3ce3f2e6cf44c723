"""``lava-s3trigger ui``: a page on the user's own machine that shows a realm, and tries keys."""
