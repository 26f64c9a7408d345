"""An option is declared once: everything else follows from its declaration."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Operation, Options, Plan, Request, ServerOptions
from engine.config.parser import parse_config
from engine.domain.engines import EngineName
from engine.domain.option_spec import OptionSpec, Place
from engine.domain.option_specs import OPTION_SPECS, with_values
from engine.domain.value_types import Flag
from engine.store.rows import decode_options, encode_options
from engine.targets import resolve
from tests.option_values import toml, values, words
from tui.commands.arguments import parse
from tui.commands.settings import requests
from tui.commands.targets import target_entries
from tui.presentation import json_format
from tui.presentation.text import format_options

URLS = {
    EngineName.SQLITE: "/srv/a.db",
    EngineName.POSTGRESQL: "postgresql:///a",
    EngineName.MYSQL: "mysql://localhost/a",
}
FEW = settings(max_examples=10)


def each(*places: Place) -> pytest.MarkDecorator:
    found = [spec for spec in OPTION_SPECS if not places or any(place in spec.places for place in places)]
    return pytest.mark.parametrize("spec", found, ids=lambda spec: spec.name)


def where_it_applies(spec: OptionSpec) -> tuple[str, Operation]:
    """A target and an operation to which an option applies."""
    return next(
        (url, operation)
        for engine, url in URLS.items()
        for operation in resolve(url).operations
        if spec.is_applicable(engine, [operation])
    )


def asked(line: list[str], config: str = "") -> list[Request]:
    args = parse(line)
    return requests(args, target_entries(args.words, parse_config(config, "f")))


def test_every_field_has_one_spec_in_the_same_order() -> None:
    own = [field.name for field in fields(Options) if field.name != "server"]
    assert [spec.name for spec in OPTION_SPECS] == own + [field.name for field in fields(ServerOptions)]


@each()
@FEW
@given(data=st.data())
def test_a_value_is_the_same_in_the_store_and_in_json(spec: OptionSpec, data: st.DataObject) -> None:
    options = with_values(Options(), {spec.name: data.draw(values(spec))})
    assert decode_options(encode_options(options)) == options
    plan = Plan(target="a", engine=EngineName.SQLITE, before={}, operations=(), options=options)
    form = json.loads(json.dumps(json_format.plan(plan)))["options"]
    shown = form["server"] if spec.of_server else form
    if spec.name in shown or not spec.of_server:
        assert spec.from_json(shown[spec.name]) == spec.value_in(options)
    else:
        assert not spec.differs_from_default(options)


@each(Place.COMMAND_LINE)
@FEW
@given(data=st.data())
def test_a_value_on_the_command_line_is_that_of_the_request(spec: OptionSpec, data: st.DataObject) -> None:
    is_plain_flag = isinstance(spec.type, Flag) and not spec.type.has_negation
    value = is_plain_flag or data.draw(values(spec))
    target, operation = where_it_applies(spec)
    for command in ("run", "plan"):
        more = {"until": "06:00"} if spec.name == "fit" else {}  # without a limit it would mean nothing
        (request,) = asked(
            [command, target, "--op", operation, *words(spec, value), *(["--until", "6:00"] * len(more))]
        )
        options = with_values(Options(), {spec.name: value, **more})
        assert request == Request(target=target, operations=(operation,), options=options)


@each(Place.TARGET, Place.DEFAULTS)
@FEW
@given(data=st.data())
def test_a_value_in_the_config_file_is_that_of_the_request(spec: OptionSpec, data: st.DataObject) -> None:
    value = data.draw(values(spec))
    target, operation = where_it_applies(spec)
    for place, section in ((Place.TARGET, ""), (Place.DEFAULTS, "[defaults]\n")):
        if place in spec.places:
            text = f'[targets.a]\nurl = "{target}"\n{section}{toml(spec, value)}'
            (request,) = asked(["run", "a", "--op", operation], text)
            assert request.options == with_values(Options(), {spec.name: value})


@each()
@FEW
@given(data=st.data())
def test_a_value_is_valid_and_has_a_text(spec: OptionSpec, data: st.DataObject) -> None:
    value = data.draw(values(spec))
    options = with_values(Options(), {spec.name: value})
    spec.validate(options)
    assert spec.help
    if spec.text != "" and spec.differs_from_default(options):
        assert spec.text_in(options) in format_options(options)


@each()
def test_a_default_is_valid_and_stored_only_if_it_is_always_told(spec: OptionSpec) -> None:
    spec.validate(Options())
    assert (spec.name in json.loads(encode_options(Options()))) == spec.always_told
