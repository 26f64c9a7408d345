"""Databases whose pages are in order, and whose content or schema is not: those of two files of SQL."""

from __future__ import annotations

from typing import Final

from tests.corpus.case import Case, Trouble, cases, sections
from tests.corpus.schemas import PEOPLE

SCHEMA_TO_BE_BROKEN: Final = f"""
{PEOPLE}
CREATE INDEX i ON person(name);
CREATE VIEW v AS SELECT id FROM person;
PRAGMA writable_schema = ON;
"""

CASES: Final[tuple[Case, ...]] = (
    *cases(Trouble.WRONG, sections("contents.sql", PEOPLE)),
    *cases(
        Trouble.WRONG,
        ((f"schema: {name}", build) for name, build in sections("broken_schemas.sql", SCHEMA_TO_BE_BROKEN)),
    ),
)
