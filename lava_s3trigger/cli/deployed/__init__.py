"""The deployed function on AWS: its configuration, and its log."""
