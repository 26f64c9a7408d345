"""Databases that the store knows, for which a pattern stood, and which it does not find any more."""

from __future__ import annotations

import os
from collections.abc import Collection

from engine.domain.server_names import is_file_url, path_of
from engine.fleet.patterns import member_name
from engine.targets import real_urls


def not_found(
    pattern: str, databases: Collection[str], there: Collection[str], unlisted: Collection[str] = ()
) -> list[str]:
    """Their URLs, in order. Reads the disk.

    Args:
        pattern: a pattern, a directory, or a server.
        databases: the canonical URLs of those that the store knows.
        there: the paths or URLs of all that the pattern finds, targets or not.
        unlisted: directories that could not be read: what is below them is not found, and may still be there.
    """
    canonical = real_urls([pattern, *unlisted])
    found = {*there} if is_file_url(canonical[pattern]) else {*real_urls(there).values()}
    missing = [url for url in databases if (path_of(url) if is_file_url(url) else url) not in found]
    return sorted(
        url
        for url in missing
        if member_name(canonical[pattern], url)
        and not (
            is_file_url(url)
            and os.path.isfile(path_of(url))  # noqa: PTH113 - Path.is_file raises where a directory cannot be read
            and not any(member_name(canonical[place], url) for place in unlisted)
        )
    )
