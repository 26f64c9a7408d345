"""Databases that patterns stood for lately, and do not find any more. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from engine.domain.steps import Micros
from engine.domain.surveys import Survey
from engine.fleet.patterns import member_name

LATELY: Final = 7 * 86_400 * 1_000_000
"""Microseconds: a database that is gone is named for so long after its last survey."""


def vanished(
    surveys: Iterable[Survey],
    patterns: Collection[tuple[str, Collection[str]]],
    there: Collection[str],
    unlisted: Collection[str],
    now: Micros,
) -> list[str]:
    """The URLs of these databases, in order.

    Args:
        surveys: those on record, whatever of.
        patterns: those that were listed, as canonical URLs, each with what it excludes.
        there: the canonical URLs of all that they found, targets or not.
        unlisted: directories that could not be read. Databases below them may still be there.
    """
    known = {one.target for one in surveys if one.surveyed_at >= now - LATELY and one.target not in there}
    return sorted(
        url
        for url in known
        if any(member_name(pattern, url, exclude) for pattern, exclude in patterns)
        and not any(member_name(directory, url) for directory in unlisted)
    )
