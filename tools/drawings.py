"""Drawings of the docs, as SVG in light and dark. `make docs` writes them.

A drawing is a YAML file of `docs/drawings`: boxes by name, arrows between them, and notes.
Positions and sizes are in pixels of the drawing.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT: Final = Path(__file__).resolve().parents[1]
SOURCES: Final = CHECKOUT / "docs" / "drawings"
IMAGES: Final = CHECKOUT / "docs" / "images"
FONT_SIZE: Final = 13
LINE_HEIGHT: Final = 18
_GAP: Final = 6
"""Pixels between an arrow and its label."""
_POINT: Final = (
    '<defs><marker id="point" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
    'markerHeight="8" orient="auto"><path d="M0 1 L10 5 L0 9 z"/></marker></defs>'
)
KINDS: Final = {
    "plain": ("#ffffff", "#57606a", "#0d1117", "#8b949e"),
    "step": ("#ddf4ff", "#0969da", "#0c2d4d", "#58a6ff"),
    "good": ("#dafbe1", "#1a7f37", "#0f2f1a", "#3fb950"),
    "bad": ("#ffebe9", "#cf222e", "#3c1214", "#ff7b72"),
    "quiet": ("#f6f8fa", "#afb8c1", "#161b22", "#484f58"),
}
"""Fill and line of a kind of box, in light and in dark."""
PAGE: Final = ("#ffffff", "#1f2328", "#59636e", "#0d1117", "#e6edf3", "#9198a1")
"""Background, text and faint text, in light and in dark."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box with lines of text in its middle."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    text: str

    def svg(self) -> Iterator[str]:
        """Yield the elements of the box."""
        yield (
            f'<rect class="{self.kind}" x="{self.x:g}" y="{self.y:g}" '
            f'width="{self.width:g}" height="{self.height:g}" rx="6"/>'
        )
        lines = self.text.split("\n")
        first = self.y + self.height / 2 - (len(lines) - 1) * LINE_HEIGHT / 2
        for number, line in enumerate(lines):
            y = first + number * LINE_HEIGHT
            emphasis = "strong" if number == 0 and len(lines) > 1 else ""
            yield _text(self.x + self.width / 2, y, line, emphasis)


@dataclass(frozen=True, slots=True)
class Arrow:
    """A straight line with a point at its end, and a label."""

    start: tuple[float, float]
    end: tuple[float, float]
    text: str

    @classmethod
    def between(cls, start: Box, end: Box, text: str) -> Arrow:
        """Return the straight arrow between two boxes that are above or next to each other.

        Raises:
            ValueError: The boxes are neither.
        """
        left, right = max(start.x, end.x), min(start.x + start.width, end.x + end.width)
        top, bottom = max(start.y, end.y), min(start.y + start.height, end.y + end.height)
        if left < right:
            x, edges = (left + right) / 2, (top, bottom) if start.y > end.y else (bottom, top)
            return cls((x, edges[0]), (x, edges[1]), text)
        if top < bottom:
            y, edges = (top + bottom) / 2, (left, right) if start.x > end.x else (right, left)
            return cls((edges[0], y), (edges[1], y), text)
        raise ValueError(f"no straight arrow from {start.text!r} to {end.text!r}")

    def svg(self) -> Iterator[str]:
        """Yield the elements of the arrow."""
        (x, y), (end_x, end_y) = self.start, self.end
        yield (
            f'<line x1="{x:g}" y1="{y:g}" x2="{end_x:g}" y2="{end_y:g}" marker-end="url(#point)"/>'
        )
        if self.text and x == end_x:
            yield _text(x + _GAP, (y + end_y) / 2, self.text, "start faint")
        elif self.text:
            yield _text((x + end_x) / 2, y - LINE_HEIGHT / 2, self.text, "faint")


def _text(x: float, y: float, text: str, names: str = "") -> str:
    classes = f' class="{names}"' if names else ""
    return f'<text{classes} x="{x:g}" y="{y:g}">{escape(text)}</text>'


def _style() -> str:
    """Return the style sheet: the light colours, and the dark ones where those are preferred."""
    light = _colours(PAGE[:3], {name: colours[:2] for name, colours in KINDS.items()})
    dark = _colours(PAGE[3:], {name: colours[2:] for name, colours in KINDS.items()})
    return (
        f"text {{ font: {FONT_SIZE}px system-ui, 'Segoe UI', 'Liberation Sans', sans-serif; "
        "text-anchor: middle; dominant-baseline: central }\n"
        ".strong { font-weight: 600 }\n.start { text-anchor: start }\n"
        "line, rect { stroke-width: 1.5 }\n"
        f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}"
    )


def _colours(page: tuple[str, ...], kinds: dict[str, tuple[str, ...]]) -> str:
    background, text, faint = page
    rules = [
        f".page {{ fill: {background}; stroke: none }}",
        f"text {{ fill: {text} }} .faint {{ fill: {faint} }}",
        f"line {{ stroke: {faint} }} #point {{ fill: {faint} }}",
        *(f".{name} {{ fill: {fill}; stroke: {line} }}" for name, (fill, line) in kinds.items()),
    ]
    return "\n".join(rules)


def drawing(source: dict[str, Any]) -> str:
    """Return the SVG of a drawing.

    Args:
        source: What its file holds: `title`, `description`, `size`, `boxes`, `arrows` and `notes`.

    Raises:
        KeyError: An arrow names an unknown box, or a box an unknown kind.
        ValueError: An arrow would not be straight.
    """
    width, height = source["size"]
    boxes = {name: _box(fields) for name, fields in source["boxes"].items()}
    parts = [part for box in boxes.values() for part in box.svg()]
    for fields in source.get("arrows", []):
        arrow = Arrow.between(boxes[fields["from"]], boxes[fields["to"]], fields.get("text", ""))
        parts += arrow.svg()
    for fields in source.get("notes", []):
        x, y = fields["at"]
        parts.append(_text(x, y, fields["text"], fields.get("style", "start")))
    size = f'width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}'
    return "\n".join(
        [
            f'{head} viewBox="0 0 {width} {height}">',
            f"<title>{escape(source['title'])}</title>",
            f"<desc>{escape(source['description'].strip())}</desc>",
            f"<style>\n{_style()}\n</style>",
            _POINT,
            f'<rect class="page" {size} rx="8"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _box(fields: dict[str, Any]) -> Box:
    kind = fields.get("kind", "plain")
    if kind not in KINDS:
        raise KeyError(kind)
    (x, y), (width, height) = fields["at"], fields["size"]
    return Box(x, y, width, height, kind, fields["text"])


def drawings() -> dict[Path, str]:
    """Return the SVG of each drawing, by its path."""
    yaml = YAML(typ="safe")
    return {
        IMAGES / f"{path.stem}.svg": drawing(yaml.load(path))
        for path in sorted(SOURCES.glob("*.yaml"))
    }


if __name__ == "__main__":
    for path, svg in drawings().items():
        path.write_text(svg)
