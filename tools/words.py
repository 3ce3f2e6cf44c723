"""Counts the words and pages of the docs, and fails above a limit, so that they stay short.

``make check`` runs it. Words are separated by white space, as ``wc -w`` counts them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[1]
MAX_WORDS: Final = 46_000


def words(checkout: Path) -> dict[str, int]:
    """Return the number of words of each page, by its path in the checkout."""
    paths = [*sorted(checkout.glob("*.md")), *sorted(checkout.glob("docs/*.md"))]
    return {path.relative_to(checkout).as_posix(): len(path.read_text().split()) for path in paths}


def main(checkout: Path = CHECKOUT, limit: int = MAX_WORDS) -> int:
    """Print the words of each page and their sum; return 1 if they are more than the limit."""
    counts = words(checkout)
    for page, count in counts.items():
        print(f"{count:7,}  {page}")
    total = sum(counts.values())
    in_docs = sum(page.startswith("docs/") for page in counts)
    print(f"{total:7,}  words, on {in_docs} pages in docs and {len(counts) - in_docs} others")
    if total > limit:
        print(f"more than {limit:,} words: shorten the pages that grew", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
