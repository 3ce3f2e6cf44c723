"""The smoke test: checks a deployed stack end to end, on the account that it is deployed to."""
