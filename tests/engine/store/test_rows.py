"""A row of the store is read as it was written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from engine.domain.requests import CheckLevel, IndexCleanup, OnFailure, Options, ServerOptions, Speed
from engine.store.row_checks import checked_facts
from engine.store.rows import decode_options, encode_facts, encode_options
from tests.option_values import all_options


@given(options=all_options())
def test_r25_any_options_are_read_as_they_were_stored(options: Options) -> None:
    assert decode_options(encode_options(options)) == options


def test_the_format_of_stored_options_stays_as_it_is() -> None:
    assert encode_options(Options()) == '{"lock_timeout": 5.0, "on_failure": "continue"}'
    server = ServerOptions(schemas=("a",), speed=Speed.GENTLE, truncate=False, index_cleanup=IndexCleanup.OFF)
    options = Options(on_failure=OnFailure.STOP, check=CheckLevel.QUICK, objects=("x", "y"), force=True, server=server)
    stored = (
        '{"check": "quick", "force": true, "lock_timeout": 5.0, "objects": ["x", "y"], "on_failure": "stop", "server":'
        ' {"index_cleanup": "off", "schemas": ["a"], "speed": "gentle", "truncate": false}}'
    )
    assert encode_options(options) == stored
    assert decode_options(stored) == options


@pytest.mark.parametrize(
    "more",
    [
        '"jobs": -1', '"jobs": "2"', '"jobs": 1.5', '"objects": [1]', '"objects": "item"', '"check": "deep"',
        '"time_limit": NaN', '"time_limit": "1"', '"until": 5', '"server": []', '"server": {"speed": "warp"}',
        '"server": {"unknown": 1}', '"server": {"jobs": 1}', '"server": {"index_cleanup": "off); DROP TABLE x"}',
    ],
)  # fmt: skip
def test_options_that_dbtend_would_not_write_are_none(more: str) -> None:
    assert decode_options(f'{{"lock_timeout": 5.0, "on_failure": "continue", {more}}}') is None


def test_options_of_an_older_dbtend_are_read() -> None:
    assert decode_options('{"lock_timeout": 5, "on_failure": "stop"}') == Options(on_failure=OnFailure.STOP)
    assert decode_options('{"lock_timeout": 5, "on_failure": "continue", "jobs": null, "gone": 1}') == Options()


def test_facts_of_many_jobs_share_their_names() -> None:
    stored = encode_facts({"size": 12, "free_pages": 3}) or ""
    one, another = (checked_facts(json.loads(stored)) for _ in range(2))
    assert one == another
    assert all(name is same for name, same in zip(one, another, strict=True))
