"""What dbtend sent to a server, as its log has it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.recorded.normalised import normalised


@dataclass(frozen=True, slots=True)
class Sent:
    commands: tuple[str, ...] = ()
    """Of each session: what sets it up, takes locks and does work, in order, each once in a row. Sessions that sent the
    same are one, and they are sorted: which of several is first is chance."""
    queries: frozenset[str] = frozenset()
    """All else, without how often: how often dbtend asks how far a step is depends on how long that takes."""


_POSTGRES: Final = re.compile(r"^<([^|\n]*)\|(\d+)> (\w+):  (.*(?:\n(?!<).*)*)", re.MULTILINE)
_MYSQL: Final = re.compile(
    r"^[^\t\n]*\t+ *(\d+) (\w+(?: DB)?)\t?(.*(?:\n(?![^\t\n]*\t+ *\d+ [A-Z]\w+).*)*)", re.MULTILINE
)
_QUERY: Final = re.compile(r"(?:SELECT|SHOW|WITH)\b")
_ACTS: Final = re.compile(
    r"SELECT (?:pg_catalog\.)?(?:set_config|pg_(?:try_)?advisory|pg_cancel|pg_terminate|pg_backend_pid\(\), CASE)"
    r"|SELECT (?:GET|RELEASE)_LOCK|.*(?:bt_index|verify_heapam|brin_summarize|gin_clean)"
)
_BY_CHANCE: Final = re.compile(
    r"SELECT 1$|.*(?:pg_stat_progress_|pg_blocking_pids|processlist\s+WHERE id|metadata_lock)"
    r"|.*(?:#sql-|information_schema.innodb_tables$)",
    re.DOTALL,
)
"""What is asked only if something takes longer than a moment."""
_LONGEST: Final = 120
"""Of a command; what is longer stands among the queries as a whole."""


def sent_to_postgres(log: str) -> Sent:
    return _sent(_of_postgres(log))


def _of_postgres(log: str) -> Iterator[tuple[str, str, str]]:
    """Session, statement, parameters: the log has these after it."""
    last: tuple[str, str] | None = None
    for name, process, kind, text in _POSTGRES.findall(log):
        if name.startswith("dbtend"):
            if last:
                yield *last, text.removeprefix("Parameters: ").strip() if kind == "DETAIL" else ""
            found = re.match(r"(?:statement|execute [^:]*): ", text)
            last = (f"{name} {process}", text[found.end() :].replace("\n\t", "\n").strip()) if found else None
    if last:
        yield *last, ""


def sent_to_mysql(log: str) -> Sent:
    return _sent(
        (number, text.strip(), "") for number, kind, text in _MYSQL.findall(log) if kind in {"Query", "Execute"}
    )


def _sent(statements: Iterable[tuple[str, str, str]]) -> Sent:
    sessions, queries = defaultdict[str, list[str]](list), set[str]()
    for session, statement, parameters in statements:
        is_query = _QUERY.match(statement) is not None
        if _BY_CHANCE.match(statement):
            continue
        if is_query and (not _ACTS.match(statement) or len(statement) > _LONGEST):
            queries.add(normalised(statement))
        if not is_query or _ACTS.match(statement):
            line = " ".join(statement.split())
            line = line if not is_query or len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
            line = f"{line}  -- {parameters}" if parameters else line
            if sessions[session][-1:] != [line]:  # a lock that is not free is asked for again
                sessions[session].append(line)
    told = {
        normalised("\n".join([session.rpartition(" ")[0] or "a session", *lines, ""]))
        for session, lines in sessions.items()
    }
    return Sent(tuple(sorted(told)), frozenset(queries))
