"""A store without constraints, for rows made by hand."""

from __future__ import annotations

import re
import sqlite3

from engine.store.sqlite.schema import drop_triggers, triggers


def loosen(store: sqlite3.Connection) -> None:
    """Let every column take any value: `store` must commit by itself."""
    store.execute("PRAGMA ignore_check_constraints = ON")
    store.execute("PRAGMA writable_schema = ON")
    store.execute("DELETE FROM sqlite_schema WHERE type = 'trigger'")
    for name, sql in store.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").fetchall():
        loose = re.sub(r"(?<! IS) NOT NULL", "", re.sub(r"\bSTRICT,?\s*", "", sql))
        store.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ? AND type = 'table'", (loose, name))
    store.execute("PRAGMA writable_schema = RESET")


def restore_triggers(store: sqlite3.Connection) -> None:
    """Without them it is no store any more."""
    drop_triggers(store)
    for sql in triggers():
        store.execute(sql)
