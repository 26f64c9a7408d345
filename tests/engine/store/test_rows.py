"""What a row of the store says is what was written into it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.domain.requests import CheckLevel, OnFailure, Options, ServerOptions, Speed
from engine.store.sqlite.rows import decode_options, encode_options

_flags = st.booleans()
_seconds = st.floats(0, 1e8)
_numbers = st.integers(0, 2**63 - 1)
_texts = st.text(max_size=8)
_names = st.lists(_texts, max_size=3).map(tuple)


def _or_none(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


SERVER_OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "schemas": _names,
    "analyze": _flags,
    "freeze": _flags,
    "index_cleanup": _or_none(_texts),
    "truncate": _or_none(_flags),
    "parallel_workers": _or_none(_numbers),
    "skip_locked": _flags,
    "buffer_usage_limit": _or_none(_numbers),
    "missing_only": _flags,
    "in_stages": _flags,
    "offline": _flags,
    "speed": st.sampled_from(Speed),
    "max_lag": _or_none(_numbers),
    "pause_while": _or_none(_texts),
    "yield_after": _or_none(_seconds),
    "snapshot_wait": _or_none(_seconds),
    "server_wait": _or_none(_seconds),
}
OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "on_failure": st.sampled_from(OnFailure),
    "on_step_failure": st.sampled_from(OnFailure),
    "lock_timeout": _seconds,
    "time_limit": _or_none(_seconds),
    "until": _or_none(_texts),
    "stop_at_limit": _flags,
    "force": _flags,
    "verify": _flags,
    "check_first": _flags,
    "jobs": _or_none(_numbers),
    "objects": _names,
    "rebuild": _names,
    "leave_out": _names,
    "analysis_limit": _or_none(_numbers),
    "check": _or_none(st.sampled_from(CheckLevel)),
    "backup_to": _or_none(_texts),
    "confirmed": _flags,
    "server": st.builds(ServerOptions, **SERVER_OPTIONS),
}


@given(options=st.builds(Options, **OPTIONS))
def test_r25_any_options_are_read_as_they_were_stored(options: Options) -> None:
    assert decode_options(encode_options(options)) == options


def test_every_option_is_tried() -> None:
    assert OPTIONS.keys() == Options.__dataclass_fields__.keys()
    assert SERVER_OPTIONS.keys() == ServerOptions.__dataclass_fields__.keys()
