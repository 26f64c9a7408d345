"""Rows of known damage to values and back: pure functions for all stores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from engine.domain.damage import Damage, DamageChange, DamagedKind, DamageSource, ShortFile
from engine.domain.requests import CheckLevel
from engine.store.row_checks import UnsoundRowError, checked, sound
from engine.store.rows import Row, storable

COLUMNS: Final = ("target", "object", "source", "found_at", "facts")
_UNREADABLE: Final = (
    "the store has a record of it that this dbtend cannot read, as a newer one writes it: update dbtend on this host"
)


def encode_damage(one: Damage) -> tuple[Any, ...]:
    """The values of the columns after the target."""
    facts = {
        "kind": one.kind,
        "text": one.text,
        "job": one.job,
        "level": one.level,
        "table": one.table,
        "is_repaired": one.is_repaired,
        "written_by": one.written_by,
        "accepted_at": one.accepted_at,
        "accepted_by": one.accepted_by,
        "short_files": [[file.pages_counted, file.pages] for file in one.short_files],
    }
    return storable(one.object), one.source, one.found_at, storable(json.dumps(facts))


def decode_damage(values: Sequence[Any]) -> Damage:
    """From the columns after the target. Of a row that dbtend would not write it is known that there is damage."""
    try:
        return _decode(values)
    except UnsoundRowError:
        return Damage(source=DamageSource.INSPECTION, found_at=0, text=_UNREADABLE, is_unreadable=True)


def decoded_damage(rows: Iterable[Row]) -> dict[str, tuple[Damage, ...]]:
    """The damage by target."""
    by_target: dict[str, list[Damage]] = {}
    for target, *values in rows:
        by_target.setdefault(target, []).append(decode_damage(values))
    return {target: tuple(damage) for target, damage in by_target.items()}


def damaged_targets(rows: Iterable[Row]) -> frozenset[str]:
    """The targets with damage that nothing has repaired and no person has taken note of."""
    by_target = decoded_damage(rows).items()
    return frozenset(
        target
        for target, known in by_target
        if any(damage.accepted_at is None and not damage.is_repaired for damage in known)
    )


def _decode(row: Sequence[Any]) -> Damage:
    name, source, found_at, text = row
    checked({"object": name, "at": found_at})
    with sound("a record of damage"):
        facts = json.loads(text)
        return Damage(
            object=name,
            kind=DamagedKind(facts["kind"]),
            source=DamageSource(source),
            found_at=found_at,
            text=str(facts["text"]),
            job=_number(facts["job"]),
            level=CheckLevel(facts["level"]),
            table=str(facts["table"]),
            is_repaired=facts["is_repaired"] is True,
            written_by=_number(facts["written_by"]),
            accepted_at=_number(facts.get("accepted_at")),
            accepted_by=str(facts.get("accepted_by", "")),
            short_files=tuple(ShortFile(int(counted), int(now)) for counted, now in facts.get("short_files", ())),
        )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def encode_change(change: DamageChange) -> Mapping[str, Any]:
    """JSON-able."""
    return {
        "found": [list(encode_damage(damage)) for damage in change.found],
        "ended": [list(key) for key in change.ended],
    }


def decode_change(values: Mapping[str, Any]) -> DamageChange:
    """Raises UnsoundRowError."""
    with sound("a change of damage"):
        ended = tuple((str(name), DamageSource(source)) for name, source in values["ended"])
        return DamageChange(found=tuple(map(_decode, values["found"])), ended=ended)
