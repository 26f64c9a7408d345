"""The options of a request on the command line, as `option_specs` declares them."""

from __future__ import annotations

import argparse
from typing import Any

from engine.domain.option_spec import OptionSpec, Place
from engine.domain.option_specs import OPTION_SPECS, options_at
from engine.domain.value_types import Flag, Names


def add_request_options(parser: argparse.ArgumentParser) -> None:
    servers = parser.add_argument_group("database servers (PostgreSQL)")
    for spec in options_at(Place.COMMAND_LINE).values():
        add_option(servers if spec.of_server else parser, spec)


def add_option(group: argparse._ActionsContainer, spec: OptionSpec) -> None:
    """An option that is not typed is no attribute of the parsed arguments."""
    more: dict[str, Any] = {"type": spec.type.parse, "metavar": spec.type.metavar, "help": spec.full_help}
    if isinstance(spec.type, Flag):
        action = argparse.BooleanOptionalAction if spec.type.has_negation else "store_true"
        more = {"action": action, "help": spec.full_help}
    elif isinstance(spec.type, Names):
        more |= {"action": "append", "help": f"{spec.full_help}; repeatable"}
    group.add_argument(spec.option, dest=spec.name, default=argparse.SUPPRESS, **more)


def typed_options(args: argparse.Namespace) -> dict[str, Any]:
    """The values of the options that were typed, by name."""
    typed = ((spec.name, getattr(args, spec.name)) for spec in OPTION_SPECS if hasattr(args, spec.name))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in typed}
