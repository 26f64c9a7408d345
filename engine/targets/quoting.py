"""Quotes names and strings for SQL."""

from __future__ import annotations


def enclosed(text: str, mark: str) -> str:
    """`text` between two marks, with the marks in it doubled."""
    return mark + text.replace(mark, 2 * mark) + mark
