"""The options for operations on a database server: what can be typed, and what it means."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace

from engine.config.servers import KB, LEAST_BUFFERS, MOST_BUFFERS, MOST_LAG, MOST_PARALLEL_WORKERS
from engine.domain.errors import UsageError
from engine.domain.humanize import memory, parse_size
from engine.domain.option_specs import BY_NAME
from engine.domain.requests import EngineName, ServerOptions, Speed
from tui.presentation import typed_values


def add_server_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("database servers (PostgreSQL)")
    group.add_argument(
        "--schema",
        dest="schemas",
        action="append",
        type=typed_values.text,
        metavar="NAME",
        help="only this schema; repeatable",
    )
    _flag(group, "analyze", "also collect statistics")
    _flag(group, "freeze", "freeze all rows")
    group.add_argument(
        "--index-cleanup",
        type=_index_cleanup,
        metavar="auto|on|off",
        help=of_operations("index_cleanup", "whether to clean indexes"),
    )
    group.add_argument(
        "--truncate", action=argparse.BooleanOptionalAction,
        help=of_operations("truncate", "give back empty pages at the end, which locks the table for a moment"),
    )  # fmt: skip
    group.add_argument(
        "--parallel-workers",
        type=_parallel_workers,
        metavar="N",
        help=of_operations("parallel_workers", "server processes for the indexes of a table"),
    )
    _flag(group, "skip_locked", "leave out locked tables")
    group.add_argument(
        "--buffer-usage-limit", type=_kilobytes, metavar="SIZE",
        help=of_operations("buffer_usage_limit", "shared buffers to use, such as 2MB (PostgreSQL 16 or newer)"),
    )  # fmt: skip
    _flag(group, "missing_only", "only tables without statistics")
    _flag(group, "in_stages", "three times, each time more thoroughly")
    _flag(group, "offline", "not concurrently; writers wait until it ends")
    group.add_argument(
        "--speed",
        type=_speed,
        metavar="gentle|normal|full",
        help=of_operations("speed", "pauses during the work (default: full)"),
    )
    group.add_argument(
        "--max-lag",
        type=_lag,
        metavar="SIZE",
        help="pause between steps while a standby is further behind, such as 64MB",
    )
    group.add_argument(
        "--pause-while",
        type=typed_values.text,
        metavar="QUERY",
        help="pause between steps while this SELECT returns true or more than 0",
    )
    group.add_argument(
        "--yield-after", type=typed_values.seconds, metavar="SECONDS",
        help="end a step that others have waited behind for this long; it runs again later, 3 times at most",
    )  # fmt: skip
    group.add_argument(
        "--snapshot-wait", type=typed_values.wait, metavar="DURATION",
        help=of_operations(
            "snapshot_wait",
            "how long a concurrent rebuild may wait for older transactions; this blocks no one"
            " (default: until the time limit, or 1h)",
        ),
    )  # fmt: skip
    group.add_argument(
        "--server-wait", type=typed_values.wait, metavar="DURATION",
        help="how long an operation waits for a server that is down (default: 10m), and a run before it submits",
    )  # fmt: skip
    yes_option(group)


def yes_option(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--yes", dest="confirmed", action="store_true", default=None,
        help="confirm operations that block everyone, or production, so that dbtend does not ask",
    )  # fmt: skip


def of_operations(name: str, meaning: str) -> str:
    """What an option means, after the operations to which it means something."""
    operations = BY_NAME[name].applies_to[EngineName.POSTGRESQL]
    return f"{', '.join(operations)}: {meaning}"


def _flag(group: argparse._ArgumentGroup, name: str, meaning: str) -> None:
    group.add_argument(BY_NAME[name].option, action="store_true", default=None, help=of_operations(name, meaning))


def server_options(usual: ServerOptions, args: argparse.Namespace) -> ServerOptions:
    """The typed options; for the others the defaults."""
    if args.offline and args.snapshot_wait is not None:
        raise UsageError("--snapshot-wait", "means nothing with --offline, which waits for locks only", "leave one out")
    names = [field.name for field in fields(ServerOptions)]
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    if args.schemas is not None:
        given["schemas"] = tuple(args.schemas)
    return replace(usual, **given)


def _index_cleanup(typed: str) -> str:
    if typed not in {"auto", "on", "off"}:
        raise UsageError(repr(typed), "is no value of --index-cleanup", "choose from auto, on, off")
    return typed


def _parallel_workers(typed: str) -> int:
    if not (typed.isascii() and typed.isdigit() and len(typed) < 5 and int(typed) <= MOST_PARALLEL_WORKERS):
        raise UsageError(repr(typed), "is no number of processes", "give a whole number from 0 to 1024")
    return int(typed)


def _kilobytes(typed: str) -> int:
    return _size(typed, "buffer usage limit", LEAST_BUFFERS, MOST_BUFFERS) // KB


def _lag(typed: str) -> int:
    return _size(typed, "lag", 0, MOST_LAG)


def _size(typed: str, noun: str, least: int, most: int) -> int:
    try:
        value = parse_size(typed)
    except ValueError:
        value = -1
    if not least <= value <= most:
        hint = f"give a size from {memory(least)} to {memory(most)}, such as 64MB"
        raise UsageError(repr(typed), f"is no {noun}", hint)
    return value


def _speed(typed: str) -> Speed:
    try:
        return Speed(typed)
    except ValueError:
        raise UsageError(repr(typed), "is no speed", "choose from gentle, normal, full") from None
