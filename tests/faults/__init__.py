"""The fault suite: every AWS call of the function fails, and nothing is lost.

`python -m tests.faults` runs all of it; docs/faults.md tells what it does and found.
"""
