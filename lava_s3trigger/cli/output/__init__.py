"""What commands write, and how: data, messages, progress, and an end on a signal."""
