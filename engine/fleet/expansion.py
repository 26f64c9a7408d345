"""Expands entries that stand for many targets: patterns of files, directories, all databases of a server."""

from __future__ import annotations

import asyncio
import os
import stat
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

from engine.config.model import TargetEntry
from engine.domain.engines import SQLITE_SPEC, engine_of_head, is_beside_database, says_database
from engine.domain.errors import (
    DbtendError,
    ServerTimeoutError,
    ServerUnavailableError,
    StoreError,
    TargetError,
    TargetUnavailableError,
    UsageError,
)
from engine.domain.frozen import frozen
from engine.domain.humanize import counted, listed
from engine.domain.server_names import is_file_url, names_server
from engine.fleet.file_search import Search, find_files
from engine.fleet.known_databases import not_found
from engine.fleet.patterns import (
    is_backup_name,
    is_wild,
    matches_any,
    natural_order,
    short_name,
)
from engine.fleet.surveyed_elsewhere import (
    databases_of_pattern,
    files_of_pattern,
    is_file_elsewhere,
    is_pattern_elsewhere,
)
from engine.system.file_headers import heads_of
from engine.targets import database_named, databases_of, file_elsewhere, file_named, real_urls, url_of_all_databases
from engine.targets.server_database import Access, ServerDatabase
from engine.targets.sqlite.system.files import BESIDE

if TYPE_CHECKING:
    from engine.store.protocol import Hosts

    KnowsHosts = Callable[[], Awaitable[Hosts | None]]
    KnowsDatabases = Callable[[], Awaitable[Collection[str]]]

MANY: Final = 10_000
"""More targets than this need a confirmation."""
LIST_WITHIN: Final = 5.0
"""Seconds within which a server must list its databases: others wait for it."""


class LeftOut(StrEnum):
    """Why a file or database that was found is no target."""

    EXCLUDED = "excluded"
    REPEATED = "repeated"
    BACKUP = "backup"
    JOURNAL = "journal"
    EMPTY = "empty"
    NO_DATABASE = "no_database"
    """The file does not begin as SQLite databases do, and its name does not say that it is one."""
    NO_RIGHT = "no_right"
    """The user may not connect to this database."""
    CLOSED = "closed"
    """The database accepts no connections."""
    INVALID = "invalid"
    """The database is half dropped."""


_NO_DATABASE_NOW: Final = {LeftOut.EMPTY, LeftOut.NO_DATABASE, LeftOut.NO_RIGHT, LeftOut.CLOSED, LeftOut.INVALID}
"""What may have become of a database: one that the store knows is a target still."""
_BY_ACCESS: Final = {
    Access.NO_RIGHT: LeftOut.NO_RIGHT,
    Access.CLOSED: LeftOut.CLOSED,
    Access.INVALID: LeftOut.INVALID,
}


@frozen
class Unlisted:
    """An entry whose targets are unknown, or which may not be meant."""

    entry: TargetEntry
    error: DbtendError
    is_pattern: bool = True
    """Whether it is a pattern, or a directory below one; else a single target."""


@frozen(kw_only=True)
class Expansion:
    """Single targets, and the entries that were left out."""

    targets: Sequence[TargetEntry] = ()
    left_out: Mapping[LeftOut, Sequence[str]] = field(default_factory=dict)
    """Paths and URLs by reason."""
    unlisted: Sequence[Unlisted] = ()
    unused_excludes: Sequence[str] = ()
    """Exclude patterns of the command that match nothing."""


@frozen(kw_only=True)
class _Candidate:
    """A file or database that an entry stands for."""

    entry: TargetEntry
    path: str | None = None
    """None: it is on a server."""
    status: os.stat_result | None = None
    """The status of a file; None if it cannot be read: opening it will say why."""
    database: str = ""
    """The name of a database on a server."""
    access: Access = Access.OPEN
    is_member: bool = False
    """Whether a pattern stands for it."""
    base: str = ""
    """The directory where the pattern of a file begins."""
    long_name: str = ""
    """The name of a member whose short name another has, too."""

    @property
    def names(self) -> Collection[str]:
        """What an exclude pattern is compared with."""
        named = () if self.is_member else (self.entry.name,)
        if self.path is None:
            return (*named, self.database, self.entry.url)
        name = os.path.basename(self.path)  # noqa: PTH119 - for each of very many files
        below = (os.path.relpath(self.path, self.base),) if self.base else ()
        return (*named, name, os.path.splitext(name)[0], self.path, *below)  # noqa: PTH122

    @property
    def identity(self) -> object:
        """Equal for two names of one database."""
        if self.path is None:
            return self.entry.url
        return (self.status.st_dev, self.status.st_ino) if self.status is not None else self.path


_Result = tuple[list[_Candidate], list[Unlisted]] | DbtendError
"""The targets of an entry, and its directories that cannot be read; or why they are unknown."""


def may_name_databases(text: str) -> bool:
    """Whether `text` is a pattern of databases of a server. Needs no driver, so `expand` may find that it is none."""
    if not names_server(text):
        return False
    if "://" not in text:
        return is_wild(text.partition("dbname")[2])
    try:
        place = urlsplit(text)
    except ValueError:
        return False
    return is_wild(unquote(place.path)) or is_wild("".join(parse_qs(place.query).get("dbname", ())))


def patterns_of_all_databases(entries: Iterable[TargetEntry]) -> list[TargetEntry]:
    """Entries that stand for all databases of their servers. Raises UsageError for a file."""
    return [replace(entry, url=url_of_all_databases(entry.url)) for entry in entries]


def stands_for_many(entry: TargetEntry) -> bool:
    """Whether an entry is a pattern or a directory. Reads the disk. Raises UsageError."""
    if names_server(entry.url):
        return is_wild(database_named(entry.url))
    path = file_named(entry.url)
    return path is not None and _is_many(path, _status(path))


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - for each of very many files
    except (OSError, ValueError):
        return None


def _is_many(path: str, status: os.stat_result | None) -> bool:
    """Whether a path stands for many files: it is a directory or a pattern."""
    if status is not None:
        return stat.S_ISDIR(status.st_mode)
    return is_wild(path) and not os.path.lexists(path)


def member_called(name: str, entries: Iterable[TargetEntry]) -> TargetEntry | None:
    """The file with this name for which one of the entries stands; None if there is none. Reads the disk."""
    for entry in entries:
        path = file_named(entry.url)
        if path is None or not stands_for_many(entry):
            continue
        for found in find_files(path, Search()):
            if name in (short_name(found), Path(found).name):
                return replace(entry, name=name, url=found, pattern=entry.url)
    return None


def refuse_many(what: str, count: int) -> NoReturn:
    raise UsageError(what, f"there are {count:,} targets", "name fewer, or leave some out with exclude")


async def expand(
    entries: Sequence[TargetEntry],
    *,
    exclude: Collection[str] = (),
    all_databases: bool = False,
    confirm_many: Callable[[str, int], object] = refuse_many,
    hosts: KnowsHosts | None = None,
    known: KnowsDatabases | None = None,
) -> Expansion:
    """The single targets of these entries, each once, in the order of the entries.

    An entry that is no pattern stands for itself, whatever it is, alone or in the config file. Of several words, and of
    patterns, what cannot be a target is left out: journals, backups that dbtend made, empty files, files that are no
    database. A database that the store knows stays a target of its pattern when it is gone, empty, a directory, or no
    database any more: to inspect it says so. The name of a file that the store knows is no pattern, whatever it is.

    Args:
        exclude: shell patterns of names, paths, URLs or databases to leave out.
        all_databases: an entry on a server stands for all databases of that server.
        confirm_many: called with the first entry and the number of targets if that is more than `MANY`; it raises
            UsageError unless they are meant.
        hosts: gives those of a shared store, which knows files of other hosts, and databases that only they reach. It
            is asked only where this host cannot tell what an entry stands for.
        known: gives the canonical URLs of the databases that the store knows.

    Raises:
        UsageError: the only entry is a pattern that matches nothing, or is malformed; or there are too many targets.
        TargetError: the only entry is a server that does not list its databases.
    """
    if all_databases:
        entries = patterns_of_all_databases(entries)
    here = await asyncio.to_thread(lambda: [_without_server(entry) for entry in entries])
    on_servers = [entry for entry, known in zip(entries, here, strict=True) if not known and names_server(entry.url)]
    listed_there = dict(zip(map(id, on_servers), await asyncio.gather(*map(_on_server, on_servers)), strict=True))
    found = [
        known or await _known_elsewhere(entry, listed_there.get(id(entry)), hosts)
        for entry, known in zip(entries, here, strict=True)
    ]
    databases = await known() if known is not None and not _is_single(found) else ()
    if databases:
        found = await asyncio.to_thread(_with_known, entries, found, databases)
    if len(entries) == 1 and isinstance(found[0], DbtendError):
        raise found[0]
    pairs = [
        ([], [Unlisted(entry, result)]) if isinstance(result, DbtendError) else result
        for entry, result in zip(entries, found, strict=True)
    ]
    candidates = [candidate for of_entry, _ in pairs for candidate in of_entry]
    unlisted = [what for _, of_entry in pairs for what in of_entry]
    alone = len(candidates) == 1 and not candidates[0].is_member
    reasons = await asyncio.to_thread(_reasons, candidates, exclude, databases, alone=alone)
    targets = _named([_gone_if_closed(one) for one, reason in zip(candidates, reasons, strict=True) if reason is None])
    if len(targets) > MANY:
        confirm_many(entries[0].url, len(targets))
    left_out: dict[LeftOut, list[str]] = {}
    for one, reason in zip(candidates, reasons, strict=True):
        if reason is not None and one.entry.is_found:
            left_out.setdefault(reason, []).append(one.path or one.entry.url)
    unused = [pattern for pattern in exclude if not any(matches_any(one.names, (pattern,)) for one in candidates)]
    return Expansion(targets=targets, left_out=left_out, unlisted=unlisted, unused_excludes=unused)


def _gone_if_closed(candidate: _Candidate) -> _Candidate:
    """A known database that accepts no connections counts as gone: its last survey is not shown as current."""
    if candidate.access is Access.OPEN:
        return candidate
    return replace(candidate, entry=replace(candidate.entry, is_found=False))


def _without_server(entry: TargetEntry) -> _Result | None:
    """What an entry stands for; None: a server or the store is to be asked. Reads the disk."""
    try:
        path = file_named(entry.url)
        if path is None and is_pattern_elsewhere(entry.url):
            return None
        if path is None:
            database = database_named(entry.url) if names_server(entry.url) else ""
            return None if is_wild(database) else ([_Candidate(entry=entry, database=database)], [])
        status = _status(path)
        return (
            _files(entry, path) if _is_many(path, status) else ([_Candidate(entry=entry, path=path, status=status)], [])
        )
    except UsageError as error:
        return error


def _is_single(found: Sequence[_Result]) -> bool:
    """Whether it is one target that is there, or is not looked for here."""
    if len(found) != 1 or isinstance(found[0], DbtendError):
        return False
    return all(not one.is_member and (one.path is None or one.status is not None) for one in found[0][0])


def _with_known(entries: Sequence[TargetEntry], found: Sequence[_Result], databases: Collection[str]) -> list[_Result]:
    """The results with the databases for which each pattern stood, and which it does not find now. Reads the disk."""
    completed: list[_Result] = []
    for entry, result in zip(entries, found, strict=True):
        listed_now, unlisted = ([], []) if isinstance(result, DbtendError) else result
        if any(not one.is_member and (one.path is None or one.status is not None) for one in listed_now):
            completed.append(result)  # it stands for itself
            continue
        url = real_urls([entry.url])[entry.url]
        if is_file_url(url) and url in databases and (path := file_named(entry.url)) is not None:
            completed.append(([_Candidate(entry=entry, path=path, status=_status(path))], []))  # it is no pattern
            continue
        is_here = not is_file_elsewhere(entry.url)  # what is gone there, its own host knows
        # Any other error: its server is down.
        is_listed = is_here and (isinstance(result, UsageError) or not isinstance(result, DbtendError))
        gone = _gone(entry, listed_now, unlisted, databases) if is_listed else []
        members = [one for one in listed_now if one.is_member or not gone]  # else it was a directory
        completed.append(([*members, *gone], unlisted) if gone else result)
    return completed


def _gone(
    entry: TargetEntry, listed_now: Sequence[_Candidate], unlisted: Sequence[Unlisted], databases: Collection[str]
) -> list[_Candidate]:
    there = [one.path or one.entry.url for one in listed_now]
    gone = []
    for url in not_found(entry.url, databases, there, [one.entry.url for one in unlisted]):
        path = file_named(url)
        name = short_name(path) if path is not None else database_named(url)
        gone.append(
            _Candidate(
                entry=replace(entry, name=name, url=path or url, pattern=entry.url, is_found=False),
                path=path,
                status=_status(path) if path is not None else None,
                database="" if path is not None else name,
                is_member=True,
                long_name=path or f"{entry.name}/{name}",
            )
        )
    return gone


async def _known_elsewhere(entry: TargetEntry, listed_there: _Result | None, hosts: KnowsHosts | None) -> _Result:
    """What an entry stands for, as its server lists it; if that does not answer, by the surveys of other hosts.

    Raises StoreError.
    """
    if listed_there is None:
        try:
            found = await files_of_pattern(entry.url, hosts and await hosts())
            return [_file_elsewhere(entry, url) for url in found], []
        except (UsageError, TargetError) as error:
            return error
    if isinstance(listed_there, ServerUnavailableError) and hosts is not None:
        with suppress(StoreError):  # that the server cannot be reached says enough
            if (known := await hosts()) and (surveyed := await databases_of_pattern(entry.url, known)):
                return _databases(entry, surveyed)
    return listed_there


def _file_elsewhere(entry: TargetEntry, url: str) -> _Candidate:
    """A file that a pattern of another host stands for."""
    path = file_elsewhere(url) or ""
    return _Candidate(
        entry=replace(entry, name=short_name(path), url=url, pattern=entry.url),
        database=Path(path).name,
        is_member=True,
        long_name=url,
    )


async def _on_server(entry: TargetEntry) -> _Result:
    try:
        return _databases(entry, await _listed(entry.url))
    except (UsageError, TargetError) as error:
        return error


def _databases(entry: TargetEntry, listed_there: Sequence[ServerDatabase]) -> _Result:
    """The databases of a server for which an entry stands."""
    wanted = database_named(entry.url)
    there = sorted(listed_there, key=lambda one: natural_order(one.name))
    matching = [one for one in there if matches_any((one.name,), (wanted,))]
    if not matching:
        names = [one.name for one in there if one.access in {Access.OPEN, Access.NO_RIGHT}]
        why = f"matches none of {counted(len(names), 'database')} that accept connections"
        return UsageError(entry.url, why, f"there are {listed(names)}")
    return [
        _Candidate(
            entry=replace(entry, name=one.name, url=one.url, pattern=entry.url),
            database=one.name,
            access=one.access,
            is_member=True,
            long_name=f"{entry.name}/{one.name}",
        )
        for one in matching
    ], []


async def _listed(url: str) -> Sequence[ServerDatabase]:
    """Raises UsageError, TargetError."""
    try:
        async with asyncio.timeout(LIST_WITHIN):
            return await databases_of(url)
    except TimeoutError:
        why = f"no answer in {LIST_WITHIN:g} s"
        raise ServerTimeoutError(url, why, "check the server, and the network") from None


def _files(entry: TargetEntry, pattern: str) -> tuple[list[_Candidate], list[Unlisted]]:
    """Raises UsageError."""
    search = Search()
    paths = sorted(dict.fromkeys(find_files(pattern, search)), key=natural_order)
    if not paths:
        unreadable = search.unreadable
        looked = [
            f"{place} ({unreadable[place]})" if place in unreadable else place
            for place in dict.fromkeys(search.looked_in)
        ]
        raise UsageError(entry.url, "matches no file", f"looked in {listed(looked)}")
    base = search.looked_in[0]
    unlisted = [
        Unlisted(
            replace(entry, name=f"{Path(place).name}/", url=place),
            TargetUnavailableError(place, f"the directory cannot be read ({why})"),
        )
        for place, why in search.unreadable.items()
    ]
    return [
        _Candidate(
            entry=replace(entry, name=short_name(path), url=path, pattern=entry.url),
            path=path,
            status=_status(path),
            is_member=True,
            base=base,
            long_name=path,
        )
        for path in paths
    ], unlisted


def _reasons(
    candidates: Sequence[_Candidate], exclude: Collection[str], databases: Collection[str], *, alone: bool
) -> list[LeftOut | None]:
    """Why each candidate is left out; None: it is a target. Reads the disk.

    `databases`: those that the store knows. `alone`: the user named this one target only.
    """
    is_meant = [alone or not (one.is_member or one.entry.is_word) for one in candidates]
    reasons = [_obvious_reason(one, exclude, is_meant=meant) for one, meant in zip(candidates, is_meant, strict=True)]
    open_questions = [
        one.path
        for one, reason, meant in zip(candidates, reasons, is_meant, strict=True)
        if reason is None and one.path and not meant and not says_database(one.path)
    ]
    heads = heads_of(open_questions)
    for n, one in enumerate(candidates):
        head = heads.get(one.path) if one.path else None
        if reasons[n] is None and head is not None and engine_of_head(head) is not SQLITE_SPEC:
            reasons[n] = LeftOut.NO_DATABASE
    for n, one in enumerate(candidates):
        if reasons[n] in _NO_DATABASE_NOW and databases and _url(one) in databases:
            reasons[n] = None
    seen = set()
    # A target that the user named comes before a pattern that stands for it: it may have options of its own.
    for n in sorted(range(len(candidates)), key=lambda n: candidates[n].is_member):
        if reasons[n] is None:
            identity = candidates[n].identity
            if identity in seen:
                reasons[n] = LeftOut.REPEATED
            seen.add(identity)
    return reasons


def _obvious_reason(one: _Candidate, exclude: Collection[str], *, is_meant: bool) -> LeftOut | None:
    """Why a candidate is left out without a look at its content. `is_meant`: the user named this very file."""
    patterns = (*exclude, *one.entry.exclude)
    if patterns and matches_any(one.names, patterns):
        return LeftOut.EXCLUDED
    if one.access is not Access.OPEN:
        return _BY_ACCESS[one.access]
    if one.path is None or is_meant:
        return None
    if one.path.endswith(BESIDE) or is_beside_database(one.path):
        return LeftOut.JOURNAL
    if is_backup_name(os.path.basename(one.path)):  # noqa: PTH119
        return LeftOut.BACKUP
    return LeftOut.EMPTY if one.status is not None and not one.status.st_size else None


def _url(one: _Candidate) -> str:
    """Its canonical URL. Reads the disk."""
    return real_urls([one.entry.url])[one.entry.url]


def _named(candidates: Iterable[_Candidate]) -> list[TargetEntry]:
    """The entries; members of patterns that have the same short name get their long one."""
    taken = list(candidates)
    how_often = Counter(one.entry.name for one in taken)
    return [
        replace(one.entry, name=one.long_name) if one.is_member and how_often[one.entry.name] > 1 else one.entry
        for one in taken
    ]
