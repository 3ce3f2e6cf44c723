"""Benchmarks: each result is a ratio to a bare function in the same run, or a count.

`python -m benchmarks` runs all of them; docs/performance.md explains the results.

- `service`: DynamoDB and SQS in a separate process.
- `realm`: entries, payloads and expected dispatches.
- `measuring`: the comparison of two sides, and rows.
- `warm`, `counts`, `growth`, `cold`: the scenarios.
- `spending`: CPU time by module.
- `comparing`, `checkouts`: this checkout against another.
- `plan`: the command line's `plan`, a benchmark of its own.
- `page`: the tables in docs/performance.md.
"""
