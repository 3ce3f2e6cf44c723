"""Calls to AWS: clients, queues, items, and the time left for them."""
