"""Values of every option, and how each is written, as its declaration says."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import strategies as st

from engine.domain.humanize import memory, span
from engine.domain.number_types import Duration, Limits, RowLimit, Seconds, Size, Whole
from engine.domain.option_spec import OptionSpec
from engine.domain.option_specs import OPTION_SPECS, with_values
from engine.domain.requests import DEFAULT_OPTIONS, Operation, Options
from engine.domain.thresholds import Thresholds
from engine.domain.value_types import (
    Choice,
    FilePath,
    Flag,
    Names,
    ObjectsDone,
    QueueName,
    SchemaNames,
    Text,
    TimeOfDay,
)
from engine.targets.postgres.connection.names import quote

_texts = st.text("aé -_.'\"%{}$", min_size=1, max_size=8)


def values(spec: OptionSpec) -> st.SearchStrategy[Any]:
    match spec.type:
        case Flag():
            return st.booleans()
        case Choice(choices=choices):
            return st.sampled_from(choices)
        case RowLimit(most=most):
            return st.integers(1, most)
        case Whole(least=least, most=most):
            return st.integers(least, most)
        case Seconds(most=most):
            return st.floats(0, min(most, 1e8)) | st.integers(0, 1000).map(float)
        case Duration():
            return st.integers(1, 20 * 86_400).map(float)
        case Size(least=least, most=most, unit=unit, or_zero=or_zero):
            sizes = st.integers(least // 1024, most // 1024).map(lambda kilobytes: kilobytes * 1024 // unit)
            return sizes | st.just(0) if or_zero else sizes
        case TimeOfDay():
            return st.times().map(lambda time: f"{time:%H:%M}")
        case FilePath():
            return _texts.map(lambda name: f"/backups/{name}.db")
        case Names():
            return st.lists(_texts, min_size=1, max_size=3, unique=True).map(tuple)
        case ObjectsDone():
            pairs = st.tuples(st.sampled_from(Operation), _texts)
            return st.lists(pairs, min_size=1, max_size=4, unique=True).map(sorted).map(tuple)
        case Limits():
            return st.builds(
                Thresholds,
                reclaim_soon=st.integers(0, 10**12),
                full_check_every=st.floats(0, 1e9) | st.just(math.inf),
            )
        case QueueName():
            return st.sampled_from(("eu", "us-1", "db_2.x"))
        case Text():
            return _texts
    raise AssertionError(f"no values for {spec.name}")


def written(spec: OptionSpec, value: Any) -> str:
    """The value as one types it."""
    match spec.type:
        case Duration():
            return span(value)
        case Size(unit=unit):
            return memory(value * unit)
        case SchemaNames() if value[0] == value[-1] == '"' and len(value) > 2:  # else read without its quotes
            return quote(value)
    return str(value)


def words(spec: OptionSpec, value: Any) -> list[str]:
    """The option on the command line."""
    if isinstance(value, bool):
        return [spec.option if value else f"--no-{spec.option.removeprefix('--')}"]
    each = value if isinstance(value, tuple) else [value]
    return [f"{spec.option}={written(spec, one)}" for one in each]


def toml(spec: OptionSpec, value: Any) -> str:
    """The option in the config file."""
    if isinstance(value, tuple):
        typed: Any = [written(spec, one) for one in value]
    elif isinstance(value, bool | int | float) and not isinstance(spec.type, Duration | Size):
        typed = value
    else:
        typed = written(spec, value)
    return f"{spec.name} = {json.dumps(typed, ensure_ascii=False)}"


def all_options() -> st.SearchStrategy[Options]:
    """Options of which any may be at their defaults."""
    return st.fixed_dictionaries({}, optional={spec.name: values(spec) for spec in OPTION_SPECS}).map(
        lambda given: with_values(DEFAULT_OPTIONS, given)
    )
