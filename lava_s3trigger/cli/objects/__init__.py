"""Objects in S3 that the user asks commands about, with their events and payloads."""
