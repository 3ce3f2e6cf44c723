"""Duplicates of S3 events, and how they are recognised."""
