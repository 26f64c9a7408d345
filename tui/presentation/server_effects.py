"""What an operation did on a database server, in a phrase, from sums of the engine."""

from __future__ import annotations

from collections.abc import Sequence

from engine import ChildJob, Facts, Operation
from engine.domain.steps import GAVE_WAY
from tui.presentation.fact_format import number, text, waited
from tui.presentation.text import counted, size

_DID = {
    Operation.VACUUM: ("table", "vacuumed"),
    Operation.ANALYZE: ("table", "analyzed"),
    Operation.REINDEX: ("index", "rebuilt"),
    Operation.OPTIMIZE: ("step", "done"),
    Operation.CHECK: ("object", "checked"),
    Operation.VACUUM_FULL: ("table", "rewritten"),
    Operation.REPACK: ("table", "rewritten"),
    Operation.CLUSTER: ("table", "clustered"),
    Operation.CLEAN_LEFTOVERS: ("leftover", "dropped"),
    Operation.REBUILD: ("table", "rebuilt"),
    Operation.REPAIR: ("table", "repaired"),
}
WRITTEN_BY_SERVERS = ("steps_completed", "steps_failed", "steps_cancelled", "steps_skipped")


def is_of_a_server(child: ChildJob) -> bool:
    return any(number(child.after, name) is not None for name in WRITTEN_BY_SERVERS)


def phrases(child: ChildJob) -> Sequence[str]:
    """`12 tables vacuumed, 40,000 dead rows removed, 1.20 MB back`, and shorter forms; none if nothing was done.

    Findings and lost rows come first: they are in the shortest form, too.
    """
    done = int(number(child.after, "steps_completed") or 0)
    noun, verb = _DID.get(child.operation, ("step", "done"))
    parts = [f"{counted(done, noun)} {verb}"] if done else []
    if (check := child.check_result) is not None and check.findings:
        parts.insert(0, counted(check.findings, "finding"))
    elif check is not None and done and not child.is_partly_completed:
        parts.append("no findings")
    if lost := number(child.after, "rows_lost"):
        parts.insert(0, f"{counted(int(lost), 'row')} lost")
    if removed := number(child.after, "rows_removed"):
        parts.append(f"{counted(int(removed), 'dead row')} removed")
    if kept := number(child.after, "rows_kept"):
        parts.append(f"{counted(int(kept), 'dead row')} not yet removable")
    if skipped := number(child.after, "steps_skipped"):
        parts.append(f"{skipped:,.0f} skipped")
    if left_out := number(child.after, "left_out"):
        parts.append(f"{left_out:,.0f} left out")
    if yields := number(child.after, GAVE_WAY):
        parts.append("gave way once" if yields == 1 else f"gave way {yields:,.0f} times")
    back = number(child.after, "back_bytes") or 0
    if size(abs(back)) != size(0):
        parts.append(f"{size(back)} back" if back > 0 else f"grew by {size(-back)}")
    return [", ".join(parts[:end]) for end in range(len(parts), 0, -1)]


def step_phrase(facts: Facts) -> str:
    """`10,000 dead rows removed, 5,000 kept, 2.10 MB -> 1.20 MB`."""
    parts = []
    if lost := number(facts, "rows_lost"):
        parts.append(f"{counted(int(lost), 'row')} lost")
    if removed := number(facts, "rows_removed"):
        parts.append(f"{counted(int(removed), 'dead row')} removed")
    if kept := number(facts, "rows_kept"):
        parts.append(f"{counted(int(kept), 'dead row')} not yet removable")
    if sampled := number(facts, "rows_sampled"):
        parts.append(f"{counted(int(sampled), 'row')} sampled")
    before, after = number(facts, "size_before"), number(facts, "size")
    if before is not None and after is not None and (not parts or size(before) != size(after)):
        parts.append(f"{size(before)} -> {size(after)}" if size(before) != size(after) else f"{size(after)} as before")
    parts += filter(None, [waited(facts), text(facts, "left")])
    return ", ".join(parts)
