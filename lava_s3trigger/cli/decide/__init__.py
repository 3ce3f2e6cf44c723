"""Decides what the function would do, for all commands: the call of its decider."""
