"""Numbers in words, for reasons and messages as well as for screens."""

from __future__ import annotations


def size(value: float | None) -> str:
    """Bytes for a person: `1.58 GB`, `480 MB`, `12 kB`."""
    if value is None:
        return "?"
    if abs(value) < 1000:
        return f"{value:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if abs(value) < 999.5 or unit == "TB":
            digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
            return f"{value:.{digits}f} {unit}"
    raise AssertionError("unreachable")


def counted(number: int, noun: str) -> str:
    """`1 step`, `3 steps`, `2 indexes`."""
    plural = noun + ("es" if noun.endswith(("x", "s", "ch")) else "s")
    return f"{number:,} {noun if number == 1 else plural}"
