"""What a pattern stands for that only other hosts can look at: what they have surveyed lately."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from engine.domain.errors import DbtendError, UsageError
from engine.domain.server_names import command_word
from engine.fleet.patterns import is_wild, member_name, natural_order
from engine.system.clock import now
from engine.targets import database_named, file_elsewhere, resolve, url_of_all_databases
from engine.targets.server_database import ServerDatabase
from engine.targets.sqlite.connection.names import target_url

if TYPE_CHECKING:
    from engine.store.protocol import Hosts

LATELY: Final = 86_400 * 1_000_000
"""Microseconds: what a host has not surveyed for longer may be gone."""


def is_pattern_elsewhere(url: str) -> bool:
    """Whether only a shared store knows what it stands for."""
    return is_wild(_path_elsewhere(url))


def is_file_elsewhere(url: str) -> bool:
    """Whether it is a file of another host, or a pattern of such files."""
    return bool(_path_elsewhere(url))


def _path_elsewhere(url: str) -> str:
    with suppress(DbtendError):  # to open it says why
        return file_elsewhere(url) or ""
    return ""


async def files_of_pattern(url: str, hosts: Hosts | None) -> Sequence[str]:
    """The files, by URL. Raises UsageError if it knows none, StoreError."""
    host, path = resolve(url).elsewhere, file_elsewhere(url)
    if host is None or path is None or hosts is None:
        why = f"is a pattern of files of {host}, which only a store knows that hosts share"
        raise UsageError(url, why, "see dbtend store init")
    known = await hosts.surveyed(hosts.files_of(host), now() - LATELY)
    found = [one for one in known if member_name(resolve(url).url, one)]
    if not found:
        hint = f"let {host} survey its files every day: dbtend fleet {command_word(target_url(path))}"
        raise UsageError(url, f"matches no file that {host} has surveyed in the last 24 hours", hint)
    return sorted(found, key=natural_order)


async def databases_of_pattern(url: str, hosts: Hosts) -> Sequence[ServerDatabase]:
    """The databases of a server that cannot be asked from here. Raises StoreError."""
    all_of_it = url_of_all_databases(url)
    place = urlsplit(all_of_it)
    known = await hosts.surveyed(f"{place.scheme}://{place.netloc}/", now() - LATELY)
    return [
        ServerDatabase(name=database_named(one), url=one) for one in known if url_of_all_databases(one) == all_of_it
    ]
