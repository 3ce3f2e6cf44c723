"""The output of commands: data, messages, progress, and how they end on a signal."""
