"""Trigger and job entries, with their places in files: read, and looked up."""
