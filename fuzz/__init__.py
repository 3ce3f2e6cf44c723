"""Fuzzing of what others write: payloads, entries, and templates with keys in them.

``make fuzz`` runs ``python -m fuzz``. Each target says what a case is, how cases are
made, and what must hold of every one (`payloads`, `entries`, `templates`). A *way* is
a target with how its cases are made of a fuzzer's bytes (`ways`). `engine` runs one
way under atheris, in a process of its own; `findings` keeps what failed, as data that
`tests/test_fuzz_findings.py` replays.
"""
