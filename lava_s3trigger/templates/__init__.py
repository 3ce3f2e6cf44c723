"""Templates of a trigger entry: compiled, confined, rendered."""
