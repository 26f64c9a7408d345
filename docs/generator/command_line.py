"""Commands, their options and the exit codes, as the command line declares them."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from docs.generator.config import PRODUCTS
from docs.generator.tables import Block, code, table
from engine.domain.engines import EngineName
from engine.domain.option_specs import BY_NAME
from engine.domain.requests import Operation
from engine.targets.duckdb import DUCKDB
from engine.targets.duckdb import operation_specs as duckdb
from engine.targets.mysql.planning import operation_specs as mysql
from engine.targets.postgres.planning import operation_specs as postgres
from engine.targets.sqlite.planning import operation_specs as sqlite
from tui.commands.arguments import parser_of
from tui.commands.command_table import COMMANDS
from tui.presentation.exit_codes import MEANINGS, PRECEDENCE

OFFERED: Final[Mapping[EngineName, Collection[Operation]]] = {
    EngineName.SQLITE: sqlite.SPECS,
    EngineName.POSTGRESQL: postgres.SPECS,
    EngineName.MYSQL: mysql.SPECS,
    DUCKDB: duckdb.SPECS,
}


def exit_codes() -> str:
    return table(["exit code", "meaning"], ([code(str(number)), meaning] for number, meaning in MEANINGS.items()))


def exit_code_precedence() -> str:
    return f"Of several causes, the first of these is the exit code: {', '.join(map(str, PRECEDENCE))}."


def overview() -> str:
    return table(
        ["command", "what it does"],
        ([f"[`dbtend {name}`](#dbtend-{name})", command.summary] for name, command in COMMANDS.items()),
    )


def common_options() -> str:
    return table(["option", "meaning"], map(_row, _common()))


def request_options() -> str:
    """The options that `plan` and `run` share, and to which operations each means something."""
    shared = {action.dest for action in _own("plan")}
    actions = [action for action in _own("run") if action.dest in shared and action.dest != "json"]
    products = [PRODUCTS[engine] for engine in OFFERED]
    return table(["option", "meaning", *products], ([*_row(action), *_scope(action)] for action in actions))


def commands() -> str:
    return "\n\n".join(map(_command, COMMANDS))


def _command(name: str) -> str:
    command = COMMANDS[name]
    shown = list(_own(name))
    if name in {"plan", "run"}:
        asked = {action.dest for action in _own("plan")} - {"json"}
        shown = [action for action in shown if action.dest not in asked]
    parts = [
        f"### dbtend {name}",
        f"{command.summary[0].upper()}{command.summary[1:]}.",
        f"```text\ndbtend {name} {command.usage}".rstrip() + "\n```",
        command.notes if name != "run" else command.notes.partition("\n\nExit codes")[0],
        "It takes the [options of a request](#options-of-plan-and-run)." if name in {"plan", "run"} else "",
        table(["option", "meaning"], map(_row, shown)) if shown else "",
        f"Example: `{command.example}`",
    ]
    return "\n\n".join(filter(None, parts))


def _own(name: str | None) -> Iterator[argparse.Action]:
    """The options of a command that not every command has."""
    common = {action.dest for action in _common()} | {"help"}
    return (action for action in _options(name) if action.dest not in common)


def _common() -> list[argparse.Action]:
    everywhere = set.intersection(*({action.dest for action in _options(name)} for name in COMMANDS))
    return [action for action in _options("run") if action.dest in everywhere and action.dest != "help"]


def _options(name: str | None) -> Iterator[argparse.Action]:
    return (action for action in parser_of(name)._actions if action.help != argparse.SUPPRESS)


def _row(action: argparse.Action) -> list[str]:
    names = ", ".join(action.option_strings)
    takes_value = action.nargs != 0
    return [code(f"{names} {action.metavar}" if takes_value else names), action.help or ""]


def _scope(action: argparse.Action) -> list[str]:
    spec = BY_NAME.get(action.dest)
    return ["all" if spec is None else _named(spec.operations_of(engine), engine) for engine in OFFERED]


def _named(operations: Collection[Operation], engine: EngineName) -> str:
    offered = OFFERED[engine]
    meant = [operation.value for operation in offered if operation in operations]
    return "all" if len(meant) == len(offered) else ", ".join(meant) or "-"


BLOCKS: Final[Mapping[str, Block]] = {
    "exit-codes": exit_codes,
    "exit-code-precedence": exit_code_precedence,
    "command-overview": overview,
    "common-options": common_options,
    "request-options": request_options,
    "commands": commands,
}
