"""What all tables of the documents have in common."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent
NONE = "No full-size result yet."


def markdown(heads: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows)]
    return "\n".join(lines)
