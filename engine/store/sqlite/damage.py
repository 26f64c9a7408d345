"""The damage on record of each target."""

from __future__ import annotations

import json
import sqlite3
from typing import Final

from engine.domain.damage import Damage, DamageChange
from engine.store.damage_rows import COLUMNS, decoded_damage, encode_damage
from engine.store.rows import storable

DAMAGE: Final = f"""SELECT {", ".join(COLUMNS)} FROM damage
WHERE target IN (SELECT value FROM json_each(:targets)) ORDER BY found_at, object"""
ALL_DAMAGE: Final = f"SELECT {', '.join(COLUMNS)} FROM damage ORDER BY target, found_at, object"


def of_target(connection: sqlite3.Connection, target: str) -> tuple[Damage, ...]:
    """`target`: as it is stored."""
    rows = connection.execute(DAMAGE, {"targets": json.dumps([target])})
    return decoded_damage(rows).get(target, ())


def save(connection: sqlite3.Connection, target: str, change: DamageChange) -> None:
    name = storable(target)
    connection.executemany(
        "DELETE FROM damage WHERE target = ? AND object = ? AND source = ?",
        [(name, storable(of), source) for of, source in change.ended],
    )
    connection.executemany(
        f"INSERT OR REPLACE INTO damage ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?)",
        [(name, *encode_damage(one)) for one in change.found],
    )
