"""A local AWS server with the deployed stack, and the demo on it: ``python -m tools.local``."""
