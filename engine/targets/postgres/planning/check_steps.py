"""The steps of a check (amcheck): pure functions. The longest come first."""

from __future__ import annotations

from collections.abc import Iterable

from engine.domain.requests import Operation
from engine.domain.steps import MAX_FINDINGS
from engine.targets.plans import longest_first
from engine.targets.postgres.connection.names import literal, qualified, quote
from engine.targets.postgres.planning.operation_specs import SPECS
from engine.targets.postgres.planning.steps import Method, PgStep, Subject, index_subject, table_subject
from engine.targets.postgres.reading.relations import Index, Table


def check_steps(
    indexes: Iterable[Index], tables: Iterable[Table], extension_schema: str, *, full: bool
) -> list[PgStep]:
    """Each table, and each B-tree, in full also whether it holds every row of its table.

    TOAST is checked before its table, and a table before its indexes, because each is compared with the one before.
    """
    check, trees = quote(extension_schema), [index for index in indexes if index.method == "btree"]
    whole = [table for table in tables if not table.is_partitioned]
    return [
        *longest_first([_toast_check(table, check) for table in whole if table.toast_pages is not None]),
        *longest_first([_tree_check(index, check, full=full) for index in trees if index.of_toast]),
        *longest_first([_heap_check(table, check, full=full) for table in whole]),
        *longest_first([_tree_check(index, check, full=full) for index in trees if not index.of_toast]),
    ]


def _toast_check(table: Table, check: str) -> PgStep:
    of = f"FROM pg_class AS c, {check}.verify_heapam(c.reltoastrelid) WHERE c.oid = {literal(table.sql)}::regclass"
    return _check_step(
        f"TOAST of {table.shown}",
        f"SELECT blkno, offnum, msg {of} LIMIT {MAX_FINDINGS}",
        "checks its pages and rows",
        pages=table.toast_pages or 0,
        subject=table_subject(table),
        is_compared_with=True,
    )


def _heap_check(table: Table, check: str, *, full: bool) -> PgStep:
    def command(more: str = "") -> str:
        of = f"{check}.verify_heapam({literal(table.sql)}::regclass{more})"
        return f"SELECT blkno, offnum, msg FROM {of} LIMIT {MAX_FINDINGS}"

    toast = full and table.toast_pages is not None
    return _check_step(
        table.shown,
        command(", check_toast => true") if toast else command(),
        "checks its pages and rows, and their values in TOAST" if toast else "checks its pages and rows",
        pages=table.pages,
        subject=table_subject(table),
        uncompared_command=command() if toast else "",
        reads_whole_table=True,
        is_compared_with=True,
    )


def _tree_check(index: Index, check: str, *, full: bool) -> PgStep:
    def command(*, compared: bool) -> str:
        also = str(compared).lower()
        if not index.of_toast:
            return f"SELECT {check}.bt_index_check({literal(index.sql)}::regclass, {also})"
        table = literal(qualified(index.table_schema, index.table))  # a role may lack the right to name TOAST
        of = "FROM pg_class AS c JOIN pg_index AS x ON x.indrelid = c.reltoastrelid"
        return f"SELECT {check}.bt_index_check(x.indexrelid, {also}) {of} WHERE c.oid = {table}::regclass"

    return _check_step(
        index.shown,
        command(compared=full),
        "checks that it holds every row of its table" if full else "checks its order and structure",
        pages=index.pages + (index.table_pages if full else 0),
        subject=index_subject(index),
        uncompared_command=command(compared=False) if full else "",
        is_compared_with=index.of_toast,
    )


def _check_step(
    name: str,
    command: str,
    reason: str,
    *,
    pages: int,
    subject: Subject,
    uncompared_command: str = "",
    reads_whole_table: bool = False,
    is_compared_with: bool,
) -> PgStep:
    spec = SPECS[Operation.CHECK]
    return PgStep(
        object=name,
        command=command,
        reason=reason,
        lock=spec.lock,
        after_cancel=spec.after_cancel,
        weight=float(pages + 1),
        method=Method.CHECK,
        is_measured=False,
        subject=subject,
        uncompared_command=uncompared_command,
        reads_whole_table=reads_whole_table,
        is_compared_with=is_compared_with,
    )
