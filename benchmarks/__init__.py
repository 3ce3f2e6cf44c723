"""How fast the function is, each figure beside that of a bare function in the same run.

`python -m benchmarks` runs all of it; docs/performance.md tells what it found.

- `service`: DynamoDB and SQS, in a process of their own.
- `realm`: what the function finds in its tables, what it is handed, and what it must send.
- `measuring`: two sides in turn, and what comes of it.
- `warm`, `counts`, `growth`, `cold`: the scenarios.
- `spending`: where the time of an event goes.
- `page`: the tables in docs/performance.md.
"""
