"""The deployed realm on AWS: the function, its log, and what it is connected to."""
