"""What a check executes for each row of a table: read from its program, as SQLite compiles it for this database. Pure.

The number depends on types, NOT NULL and CHECK constraints, generated columns and indexes. Rows without a problem take
the same way through the program, for the most part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

Instruction = tuple[str, int, int]
"""Opcode, p1 and p2."""
_JUMP: Final = frozenset({"IsType", "NotNull", "Found", "Once", "IdxGT", "Next", "Goto"})
"""Opcodes that jump where there is no problem."""
_OF_A_REPORT: Final = frozenset({"String8", "Concat", "Copy", "SCopy", "Column", "Rowid", "Integer", "Goto"})
_LONGEST_REPORT: Final = 12
_MOST: Final = 5_000


def opcodes_a_row(program: Sequence[Instruction]) -> dict[int, int]:
    """By the root page of a table, the opcodes for each of its rows."""
    roots: dict[int, int] = {}
    found: dict[int, int] = {}
    at = 0
    while at < len(program):
        opcode, cursor, target = program[at]
        if opcode == "OpenRead":
            roots[cursor] = target
        if opcode == "Rewind" and target > at and cursor in roots:
            found[roots[cursor]] = _executed(program, at + 1, cursor)
            at = target
        else:
            at += 1
    return found


def _executed(program: Sequence[Instruction], first: int, cursor: int) -> int:
    """How many opcodes the loop over `cursor` executes that begins at `first`."""
    at, executed = first, 0
    while executed < _MOST and 0 <= at < len(program):
        opcode, p1, target = program[at]
        executed += 1
        if (opcode, p1, target) == ("Next", cursor, first):
            break
        is_guard = opcode not in _OF_A_REPORT and target > at and _reports(program, at + 1)
        at = target if opcode in _JUMP or is_guard else at + 1
    return executed


def _reports(program: Sequence[Instruction], at: int) -> bool:
    """Whether a problem is reported there."""
    for _ in range(_LONGEST_REPORT):
        if not 0 <= at < len(program) or program[at][0] not in _OF_A_REPORT:
            break
        at = program[at][2] if program[at][0] == "Goto" else at + 1
    return 0 <= at < len(program) and program[at][0] == "ResultRow"
