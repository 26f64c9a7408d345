"""Databases by name: `resolve` turns what a user typed into a `Target`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from engine.domain.engines import EngineName, EngineSpec, engine_of_file, engine_of_scheme, engine_spec
from engine.domain.errors import DbtendError, NotAvailableError, UsageError
from engine.domain.server_names import LIBPQ, URL, file_url, names_server, server_engine
from engine.system.host import host_name
from engine.system.paths import RealPaths
from engine.targets.elsewhere import FileElsewhere
from engine.targets.file_target import FileTarget

if TYPE_CHECKING:
    from engine.targets.server_database import ServerDatabase, ServerDatabases
    from engine.targets.target import Target

_PASSWORD_SETTING: Final = re.compile(r"\b(ssl)?password\s*=", re.IGNORECASE)
_ELSEWHERE: Final = re.compile(r"(?P<host>[A-Za-z0-9_][A-Za-z0-9._-]*)(?P<path>/[^?]+)")
"""A file with its host."""
_FORMS: Final = (
    "give a path, sqlite:PATH or sqlite:///PATH, duckdb:PATH, postgresql://USER@HOST/DATABASE, or"
    " mysql://USER@HOST/DATABASE"
)


def resolve(text: str) -> Target:
    """The database that `text` names; it need not exist.

    Raises:
        UsageError: `text` names no database: it is empty, malformed, of an unknown kind, or holds a password.
        NotAvailableError: the driver for its kind of database is not installed.
    """
    if text.startswith("/"):
        return _file(engine_of_file(text), text)
    if not text.strip():
        raise UsageError("target", "it is empty", _FORMS)
    if text[:5].lower() == "file:":
        raise UsageError(repr(text), "is a URI of SQLite, whose settings dbtend chooses itself", "give the path alone")
    if url := URL.fullmatch(text):
        return _resolve_url(url["scheme"].lower(), url["rest"])
    if LIBPQ.match(text):
        _refuse_password("service=... or host=...", has_password=bool(_PASSWORD_SETTING.search(text)))
        return _on_server(engine_spec(EngineName.POSTGRESQL), text)
    scheme, colon, path = text.partition(":")
    if colon and (spec := engine_of_scheme(scheme.lower())) is not None and spec.is_file:
        return _file(spec, path)
    return _file(engine_of_file(text), text)


def file_named(text: str) -> str | None:
    """The absolute path that `text` names, with links not followed; None if it names a database on a server.

    Raises as `resolve` does.
    """
    target = resolve(text)
    return target.given if isinstance(target, FileTarget) else None


def file_elsewhere(text: str) -> str | None:
    """The path on another host that `text` names; None if it names something else. Raises as `resolve` does."""
    target = resolve(text)
    return target.path if isinstance(target, FileElsewhere) else None


def lexical_url(text: str) -> str:
    """The URL of what `text` names, with links not followed: no disk is read. Raises as `resolve` does."""
    target = resolve(text)
    return file_url(target.scheme, os.path.normpath(target.given)) if isinstance(target, FileTarget) else target.url


def real_urls(texts: Iterable[str]) -> dict[str, str]:
    """The URL of what each names, with links followed; one that names no database stands for itself."""
    paths = RealPaths()
    return {text: _real_url(text, paths) for text in texts}


def _real_url(text: str, paths: RealPaths) -> str:
    try:
        target = resolve(text)
        if not isinstance(target, FileTarget):
            return target.url
        return file_url(target.scheme, "/" + paths.of(target.given).lstrip("/"))
    except DbtendError:
        return text


def database_named(text: str) -> str:
    """The database that a name on a server names. Raises UsageError, NotAvailableError."""
    resolve(text)
    return _databases(engine_spec(engine_named(text))).database_of(text)


def url_of_all_databases(text: str) -> str:
    """A pattern for all databases of the server that `text` names. Raises UsageError, NotAvailableError."""
    if not names_server(text):
        raise UsageError(text, "is no database server, so there are no databases to list", "leave out --all-databases")
    _check_server(text)
    return _databases(engine_spec(engine_named(text))).url_of_all(text)


async def databases_of(text: str) -> Sequence[ServerDatabase]:
    """All databases of the server that `text` names that accept connections.

    Raises UsageError, NotAvailableError, TargetError.
    """
    _check_server(text)
    return await _databases(engine_spec(engine_named(text))).databases(text)


def _check_server(text: str) -> None:
    """Raise as `resolve` does, but not where the name of a server has no database."""
    with suppress(_NoDatabaseError):
        resolve(text)


def engine_named(text: str) -> EngineName:
    """The engine of the database that `text` names. Needs no driver."""
    if (server := server_engine(text)) is not None:
        return server
    spec = engine_of_scheme(text.partition(":")[0].lower()) if ":" in text else None
    return spec.name if spec is not None else engine_of_file(text).name


def _resolve_url(scheme: str, rest: str) -> Target:
    # What follows the scheme may hold a password, so no message repeats it.
    shown = f"{scheme}://..."
    spec = engine_of_scheme(scheme)
    if spec is not None and spec.is_file and rest.startswith("/"):
        path, question_mark, _ = rest.partition("?")
        if question_mark:
            raise UsageError(
                f"{scheme}://{path}", "options after a ? are not supported", "give the plain path, or write ? as %3F"
            )
        return _file(spec, os.fsdecode(unquote_to_bytes(_encoded(path))))
    user_info, at, _ = rest.rpartition("@")
    _refuse_password(shown, has_password=bool(at and ":" in user_info) or bool(_PASSWORD_SETTING.search(rest)))
    if spec is not None and not spec.is_file:
        return _on_server(spec, f"{scheme}://{rest}")
    if spec is not None and (found := _ELSEWHERE.fullmatch(rest)):
        path = os.fsdecode(unquote_to_bytes(_encoded(found["path"])))
        here = found["host"] == host_name()
        if here:
            return _file(spec, path)
        return FileElsewhere(found["host"], os.path.normpath(path), _imported(spec, spec.target))
    if spec is not None:
        raise UsageError(shown, f"a {spec.label} URL has three slashes before the absolute path", _FORMS)
    raise UsageError(shown, "this kind of database is unknown", _FORMS)


def _file(spec: EngineSpec, path: str) -> Target:
    if not path:
        raise UsageError("target", f"there is no path after {spec.schemes[0]}:", _FORMS)
    if "\0" in path:
        raise UsageError("target", "a path cannot contain a NUL character", _FORMS)
    try:
        target: Target = _imported(spec, spec.target)(os.fsdecode(_encoded(path)))
    except FileNotFoundError as error:
        raise UsageError("target", "the current directory no longer exists", "give an absolute path") from error
    return target


def _on_server(spec: EngineSpec, text: str) -> Target:
    if "\0" in text:
        raise UsageError("target", "it cannot contain a NUL character", _FORMS)
    target: Target = _imported(spec, spec.target)(text)
    if spec.needs_database and not _databases(spec).database_of(text):
        raise _NoDatabaseError(target.url, "names no database", "add /DATABASE, or /* for all databases of the server")
    return target


class _NoDatabaseError(UsageError):
    """A URL names a server only."""


def _databases(spec: EngineSpec) -> ServerDatabases:
    module: ServerDatabases = _imported(spec, spec.databases)
    return module


def _imported(spec: EngineSpec, place: str) -> Any:
    """A module of an engine, or `module:name`. Raises NotAvailableError where its driver is not installed."""
    module, _, name = place.partition(":")
    try:
        imported = import_module(module)
    except ImportError as error:
        if not spec.extra or (error.name or "").startswith(module.partition(".")[0]):
            raise
        hint = f"pip install '.[{spec.extra}]' in the directory of its source"
        raise NotAvailableError(f"{spec.schemes[0]}://...", f"{spec.driver} is not installed", hint) from None
    return getattr(imported, name) if name else imported


def _encoded(path: str) -> bytes:
    try:
        return os.fsencode(path)
    except UnicodeEncodeError as error:
        raise UsageError("target", "the path holds characters that no file name can have", _FORMS) from error


def _refuse_password(shown: str, *, has_password: bool) -> None:
    if has_password:
        raise UsageError(
            shown,
            "a password must not be part of a target",
            "put it where the database's own tools look: ~/.pgpass, a libpq service file, or ~/.my.cnf",
        )
