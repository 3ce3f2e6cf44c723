"""Routes of a bucket's events to the function, as they are deployed."""
