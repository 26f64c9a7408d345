"""The median of numbers. The module `statistics` would bring decimal and fractions along."""

from __future__ import annotations

from collections.abc import Sequence


def median(values: Sequence[float]) -> float:
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2
