from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading.catalog import Texts
from engine.targets.sqlite.reading.full_text import fts5_texts, varints


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        yield db


async def texts(db: sqlite3.Connection, most: int = 1_000_000) -> list[Texts]:
    async def read(sql: str) -> list[Any]:
        return db.execute(sql).fetchall()

    return await fts5_texts(read, await read(query("virtual_tables")), most)


async def test_a_full_text_index_tells_its_rows_and_all_of_their_words(db: sqlite3.Connection) -> None:
    db.execute('CREATE VIRTUAL TABLE "my notes" USING fts5(title, body)')
    db.executemany('INSERT INTO "my notes" VALUES (?, ?)', [("one", "a b c " * 50)] * 300)
    assert await texts(db) == [Texts(rows=300, words=300 * 151)]
    assert await texts(db, most=1000) == [Texts(rows=300, words=1000)], "a damaged one may claim any number"


async def test_of_an_index_without_texts_of_another_kind_or_that_is_damaged_nothing_is_told(
    db: sqlite3.Connection,
) -> None:
    db.execute("CREATE VIRTUAL TABLE empty USING fts5(body)")
    db.execute("CREATE VIRTUAL TABLE contentless USING fts5(body, content='')")
    db.execute("INSERT INTO contentless(rowid, body) VALUES (1, 'a word')")
    db.execute("CREATE VIRTUAL TABLE older USING fts4(body)")
    db.execute("CREATE VIRTUAL TABLE damaged USING fts5(body)")
    db.execute("UPDATE damaged_data SET block = 'text' WHERE id = 1")
    assert not any(text.words for text in await texts(db))


def varint(number: int) -> bytes:
    """As SQLite writes it."""
    if number >= 1 << 56:
        return varint_of(number >> 8, 8, last=False) + bytes([number & 0xFF])
    return varint_of(number, max(-(-number.bit_length() // 7), 1), last=True)


def varint_of(number: int, length: int, *, last: bool) -> bytes:
    digits = [number >> 7 * place & 0x7F for place in reversed(range(length))]
    return bytes([*(digit | 0x80 for digit in digits[:-1]), digits[-1] | (0 if last else 0x80)])


@given(st.lists(st.integers(0, (1 << 64) - 1)))
def test_numbers_of_any_length_are_read(numbers: list[int]) -> None:
    assert list(varints(b"".join(map(varint, numbers)))) == numbers


@given(st.binary())
def test_of_any_bytes_no_number_is_too_long(block: bytes) -> None:
    assert all(0 <= number < 1 << 64 for number in varints(block))
