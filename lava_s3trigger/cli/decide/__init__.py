"""What the function would do: the one call of its decider, and what stands round it."""
