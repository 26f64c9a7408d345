"""Numbers, sizes and durations as text, and text back to values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

_SECONDS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
NOT_BEGUN: Final = "it had not begun"
"""The error of an operation that ended before its first step."""
PAST_THE_LIMIT: Final = "not begun: the time limit had passed"
_MEMORY: Final = {"GB": 1024**3, "MB": 1024**2, "kB": 1024}
_BYTES: Final = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SPAN: Final = re.compile("".join(f"(?:([0-9]{{1,6}}){unit})?" for unit in _SECONDS))


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


def whole_size(value: int) -> str:
    """A size that a person chose, without rounding: `16 MB`."""
    units = ((unit, length) for unit, length in reversed(_BYTES.items()) if value and value % length == 0)
    unit, length = next(units, ("B", 1))
    return f"{value // length} {unit.replace('KB', 'kB')}"


def counted(number: int, noun: str) -> str:
    """`1 step`, `3 steps`, `2 indexes`."""
    plural = noun + ("es" if noun.endswith(("x", "s", "ch")) else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def listed(names: Sequence[str], most: int = 5) -> str:
    """The names, or the first few of very many."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most:,} more"


def by_reason(problems: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The names by reason. `problems`: names, each with its reason."""
    reasons: dict[str, list[str]] = {}
    for name, reason in problems:
        reasons.setdefault(reason, []).append(name)
    return reasons


def span(seconds: float) -> str:
    """A duration as people write it: `30m`, `1h30m`, `90d`; fractions of a second are dropped."""
    rest, parts = int(seconds), []
    for unit, length in _SECONDS.items():
        if unit != "w":  # 90d says more than 12w6d
            number, rest = divmod(rest, length)
            parts += [f"{number}{unit}"] if number else []
    return "".join(parts) or "0s"


def about(seconds: float) -> str:
    """An estimate: `less than 1 s`, `about 7 s`, `about 3m20s`."""
    return "less than 1 s" if seconds < 1 else f"about {rounded(seconds)}"


def rounded(seconds: float) -> str:
    """A duration without false precision: `7 s`, `3m20s`, `1h20m`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return span(seconds - seconds % (1 if seconds < 3600 else 60))


def format_age(seconds: float) -> str:
    """`less than an hour ago`, `3 h ago`, `2 days ago`; no finer, because the text is read later."""
    hours = int(seconds) // 3_600
    if hours < 1:
        return "less than an hour ago"
    return f"{hours} h ago" if hours < 24 else f"{counted(hours // 24, 'day')} ago"


def parse_duration(span: str) -> float:
    """The seconds in `90s`, `30m`, `2h`, `1d`, `12w` or `1h30m`. Raises ValueError for anything else."""
    found = _SPAN.fullmatch(span)
    if not (span and found):
        raise ValueError(f"{span!r} is no length of time such as 30m, 2h or 1h30m")
    numbers = (int(number or 0) for number in found.groups())
    return float(sum(number * length for number, length in zip(numbers, _SECONDS.values(), strict=True)))


def memory(value: int) -> str:
    """Bytes as a database server writes them, for which 1 MB is 1024 kB: `64MB`."""
    unit = next((unit for unit, length in _MEMORY.items() if value >= length and value % length == 0), "kB")
    return f"{value // _MEMORY[unit]}{unit}"


def parse_bytes(text: str) -> int:
    """The bytes in `500`, `16MB` or `1.5 GB`, as `size` shows them. Raises ValueError for anything else."""
    found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,3})?) ?([kMGT]?B)?", text.strip(), re.IGNORECASE)
    if not found:
        raise ValueError(f"{text!r} is no size such as 16MB")
    return round(float(found[1]) * _BYTES[(found[2] or "B").upper()])


def parse_size(memory: str) -> int:
    """The bytes in `128kB`, `64MB` or `1 GB`, as a database server counts. Raises ValueError for anything else."""
    found = re.fullmatch(r"([0-9]{1,12}) ?(kB|MB|GB)", memory, re.IGNORECASE)
    if not found:
        raise ValueError(f"{memory!r} is no size such as 64MB")
    return int(found[1]) * {unit.lower(): length for unit, length in _MEMORY.items()}[found[2].lower()]
