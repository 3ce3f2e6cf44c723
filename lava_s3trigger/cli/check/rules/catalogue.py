"""All rules of `check`: importing this module registers them."""

from __future__ import annotations

from . import conditions, entries, files, jobs, prefixes, templates, values
from .registry import RULES, all_rules

MODULES = (files, entries, values, prefixes, conditions, templates, jobs)
"""In the order of the ids."""

__all__ = ["MODULES", "RULES", "all_rules", "markdown"]

_HEADINGS = {
    "files": "Files",
    "entries": "Entries that the function refuses",
    "values": "Values",
    "prefixes": "Buckets and prefixes",
    "conditions": "Conditions",
    "templates": "Templates",
    "jobs": "Jobs and dispatches",
}


def markdown() -> str:
    """Return the pages of all rules, as one page of the docs."""
    parts = []
    for module in MODULES:
        name = module.__name__.rpartition(".")[2]
        parts.append(f"## {_HEADINGS[name]}")
        parts += [
            f"### {rule.id}: {rule.title}\n\n*{rule.severity}*\n\n{rule.page}"
            for rule in all_rules()
            if rule.check.__module__ == module.__name__
        ]
    return "\n\n".join(parts)
