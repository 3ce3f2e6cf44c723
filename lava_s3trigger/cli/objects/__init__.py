"""Objects in S3 that commands are asked about, and the events and payloads of them."""
