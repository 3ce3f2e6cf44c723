"""``lava-s3trigger doctor``: what is wrong with a deployed realm, and what corrects it."""
