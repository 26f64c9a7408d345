from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

from engine.store.sqlite import schema
from tests import new_stores


def made_by(migrate: Callable[[sqlite3.Connection, str], None]) -> list[Any]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as store:
        migrate(store, "memory")
        marks = [store.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")]
        names = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
        return [*marks, *store.execute(names), *store.iterdump()]


def test_a_new_store_for_tests_is_what_the_migrations_make() -> None:
    assert made_by(new_stores.migrate) == made_by(schema.migrate)
