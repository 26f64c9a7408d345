"""Prepared transactions as text. They have no session, and hold locks until they are ended by hand."""

from __future__ import annotations

from engine.domain.humanize import span


def as_text(literal: str, seconds: float) -> str:
    """`literal`: its name as SQL takes it. `seconds`: how long ago it was prepared."""
    ends = "COMMIT PREPARED or ROLLBACK PREPARED ends it"
    return f"prepared transaction {literal} (prepared {span(seconds)} ago: {ends})"
