"""What AWS is called with: clients, queues, items, time."""
