"""The options for operations on a database server: what can be typed, and what it means."""

from __future__ import annotations

import argparse
import re
from dataclasses import fields, replace
from typing import Final

from engine.errors import UsageError
from engine.jobs import ServerOptions, Speed
from tui.commands import values

_KILOBYTES: Final = {"kb": 1, "mb": 1024, "gb": 1024 * 1024}
_MOST_BUFFERS: Final = 16 * 1024 * 1024


def add_server_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("database servers (PostgreSQL)")
    group.add_argument(
        "--schema", dest="schemas", action="append", type=values.text, metavar="NAME", help="only this; repeatable"
    )
    _flag(group, "--analyze", "vacuum: collect statistics in the same go")
    _flag(group, "--freeze", "vacuum: freeze all rows")
    group.add_argument(
        "--index-cleanup", type=_index_cleanup, metavar="auto|on|off", help="vacuum: whether indexes are cleaned"
    )
    group.add_argument(
        "--truncate", action=argparse.BooleanOptionalAction,
        help="vacuum: whether empty pages at the end are given back, which locks the table for a moment",
    )  # fmt: skip
    group.add_argument(
        "--parallel-workers", type=_parallel_workers, metavar="N", help="vacuum: processes for the indexes of a table"
    )
    _flag(group, "--skip-locked", "vacuum, analyze: leave out what is locked")
    group.add_argument(
        "--buffer-usage-limit", type=_kilobytes, metavar="SIZE",
        help="vacuum, analyze: shared buffers to use, such as 2MB (PostgreSQL 16 or newer)",
    )  # fmt: skip
    _flag(group, "--missing-only", "analyze: only what has no statistics")
    _flag(group, "--in-stages", "analyze: three times, ever more thoroughly")
    _flag(group, "--offline", "reindex: not concurrently; writers wait meanwhile")
    group.add_argument(
        "--speed", type=_speed, metavar="gentle|normal|full", help="vacuum, analyze: pauses in between (default: full)"
    )
    group.add_argument(
        "--max-lag",
        type=_lag,
        metavar="SIZE",
        help="pause between steps while a standby is further behind, such as 64MB",
    )
    group.add_argument(
        "--pause-while",
        type=values.text,
        metavar="QUERY",
        help="pause between steps while this query gives true or > 0",
    )
    group.add_argument(
        "--yield-after", type=values.seconds, metavar="SECONDS",
        help="end a step, and go on with the next, where others have waited behind it for so long",
    )  # fmt: skip
    group.add_argument(
        "--yes", dest="confirmed", action="store_true", default=None,
        help="yes to operations that lock everybody out, so that nothing is asked",
    )  # fmt: skip


def _flag(group: argparse._ArgumentGroup, option: str, meaning: str) -> None:
    group.add_argument(option, action="store_true", default=None, help=meaning)


def server_options(usual: ServerOptions, args: argparse.Namespace) -> ServerOptions:
    """What was typed, over what is usual."""
    names = [field.name for field in fields(ServerOptions)]
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    if args.schemas is not None:
        given["schemas"] = tuple(dict.fromkeys(args.schemas))
    return replace(usual, **given)


def _index_cleanup(typed: str) -> str:
    if typed not in {"auto", "on", "off"}:
        raise UsageError(repr(typed), "is no value of --index-cleanup", "choose from auto, on, off")
    return typed


def _parallel_workers(typed: str) -> int:
    if not (typed.isascii() and typed.isdigit() and len(typed) < 5 and int(typed) <= 1024):
        raise UsageError(repr(typed), "is no number of processes", "give a whole number from 0 to 1024")
    return int(typed)


def _kilobytes(typed: str) -> int:
    found = re.fullmatch(r"([0-9]{1,9}) ?(kB|MB|GB)", typed, re.IGNORECASE)
    size = int(found[1]) * _KILOBYTES[found[2].lower()] if found else 0
    if not 128 <= size <= _MOST_BUFFERS:
        raise UsageError(repr(typed), "is no buffer usage limit", "give a size from 128kB to 16GB")
    return size


def _lag(typed: str) -> int:
    found = re.fullmatch(r"([0-9]{1,9}) ?(kB|MB|GB)", typed, re.IGNORECASE)
    if not found:
        raise UsageError(repr(typed), "is no size", "give one such as 64MB")
    return int(found[1]) * _KILOBYTES[found[2].lower()] * 1024


def _speed(typed: str) -> Speed:
    try:
        return Speed(typed)
    except ValueError:
        raise UsageError(repr(typed), "is no speed", "choose from gentle, normal, full") from None
