"""Fuzzing of untrusted input: payloads, entries, and templates with object keys.

``make fuzz`` runs ``python -m fuzz``. Each target (`payloads`, `entries`, `templates`)
defines its cases, their generator, and the properties of every case. A *way* is a
target with a conversion of a fuzzer's bytes into cases (`ways`). `engine` runs one way
under atheris, in its own process. `findings` saves failed cases as data, which
`tests/test_fuzz_findings.py` replays.
"""
