"""The fault suite: every AWS call of the function fails in turn, and nothing is lost.

`python -m tests.faults` runs all of it; docs/faults.md describes it and has its results.
"""
