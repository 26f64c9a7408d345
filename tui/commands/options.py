"""The options of commands as values; those of a request as `option_specs` declares them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from engine.domain.engines import EngineName
from engine.domain.frozen import frozen
from engine.domain.option_spec import OptionSpec, Place
from engine.domain.option_specs import OPTION_SPECS, options_at
from engine.domain.value_types import Flag, Names

HIDDEN: Final = argparse.SUPPRESS
"""The help of an option that is not for people."""


@frozen
class Option:
    """An option of a command; `settings`: those of argparse; `group`: its heading in the help."""

    name: str
    settings: Mapping[str, Any]
    group: str = ""


def flag(name: str, meaning: str, **settings: Any) -> Option:
    return Option(name, {"action": "store_true", "help": meaning, **settings})


def value(name: str, metavar: str, parse: Callable[[str], Any], meaning: str, **settings: Any) -> Option:
    return Option(name, {"type": parse, "metavar": metavar, "help": meaning, **settings})


def repeatable(name: str, metavar: str, parse: Callable[[str], Any], meaning: str, **settings: Any) -> Option:
    return value(name, metavar, parse, meaning, action="append", **settings)


def grouped(group: str, *options: Option) -> tuple[Option, ...]:
    return tuple(replace(option, group=group) for option in options)


def add_options(parser: argparse.ArgumentParser, options: Iterable[Option]) -> None:
    groups: dict[str, argparse._ActionsContainer] = {"": parser}
    for option in options:
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        groups[option.group].add_argument(option.name, **option.settings)


def of_spec(spec: OptionSpec) -> Option:
    """An option of a request. If it is not typed, it is no attribute of the parsed arguments."""
    more: dict[str, Any] = {"type": spec.type.parse, "metavar": spec.type.metavar, "help": spec.full_help}
    if isinstance(spec.type, Flag):
        action = argparse.BooleanOptionalAction if spec.type.has_negation else "store_true"
        more = {"action": action, "help": spec.full_help}
    elif isinstance(spec.type, Names):
        more |= {"action": "append", "help": f"{spec.full_help}; repeatable"}
    return Option(spec.option, {"dest": spec.name, "default": argparse.SUPPRESS, **more}, _group(spec))


def _group(spec: OptionSpec) -> str:
    """The heading it stands below in the help; "" for the first one."""
    if not spec.of_server:
        return ""
    only = [engine for engine in _SERVERS if spec.is_for(engine)]
    return _SERVERS[only[0]] if len(only) == 1 else "database servers"


_SERVERS: Final = {EngineName.POSTGRESQL: "PostgreSQL", EngineName.MYSQL: "MariaDB and MySQL"}


REQUEST_OPTIONS: Final = tuple(map(of_spec, options_at(Place.COMMAND_LINE).values()))


def typed_options(args: argparse.Namespace) -> dict[str, Any]:
    """The values of the request options that were typed, by name."""
    typed = ((spec.name, getattr(args, spec.name)) for spec in OPTION_SPECS if hasattr(args, spec.name))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in typed}
