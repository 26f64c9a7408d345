"""Notes and errors that several children or steps of a job share: shown once, with the list of these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Final

from engine import ChildJob, ParentJob, Reason, Step
from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.domain.steps import object_name
from tui.presentation.effect_summary import is_listed_finding, only_found
from tui.presentation.job_notes import Instructions, Note, NoteKind, notes
from tui.presentation.text import plain
from tui.presentation.window_words import step_error

SHARED: Final = frozenset({NoteKind.ERROR, NoteKind.CANCEL, NoteKind.ADVICE})
"""The kinds of notes that are shown once; others belong to one child."""
Concerned = tuple[ChildJob, Step | None]


@frozen
class SharedNotes:
    notes: tuple[Note, ...]
    children: tuple[ChildJob, ...]
    subjects: str
    """`.1 vacuum, .3 reindex (orders_pkey, orders_date and 38 more)`."""


def shared_notes(parent: ParentJob, how: Callable[[ChildJob], Instructions]) -> list[SharedNotes]:
    """What at least two children, or two steps, have in common, in the order of the children."""
    concerned: dict[Note, list[Concerned]] = {}
    for child in parent.children:
        for note, step in _notes_of(parent, child, how(child)):
            concerned.setdefault(note, []).append((child, step))
    shared = [(note, subjects) for note, subjects in concerned.items() if _number(subjects) > 1]
    return [
        _together(subjects, [note for note, _ in same]) for subjects, same in groupby(shared, key=lambda one: one[1])
    ]


def told_once(shared: Sequence[SharedNotes]) -> frozenset[str]:
    """The texts that need no repetition."""
    return frozenset(note.text for one in shared for note in one.notes)


def _notes_of(parent: ParentJob, child: ChildJob, how: Instructions) -> Iterator[tuple[Note, Step | None]]:
    for note in notes(parent, child, how):
        is_said_otherwise = note.kind is NoteKind.ERROR and (only_found(child) or child.reason is Reason.NOT_NEEDED)
        if note.kind in SHARED and not is_said_otherwise:
            yield note, None
    for step in child.steps:
        if (error := step_error(step)) and not is_listed_finding(child, step):
            yield Note(NoteKind.ERROR, error), step


def _number(concerned: Sequence[Concerned]) -> int:
    """How many would tell it: a child with an error does not repeat it for each of its steps."""
    children = {child.ordinal for child, step in concerned if step is None}
    return len(children) + sum(child.ordinal not in children for child, _ in concerned)


def _together(concerned: Sequence[Concerned], shared: Sequence[Note]) -> SharedNotes:
    by_child: dict[int, tuple[ChildJob, list[Step]]] = {}
    for child, step in concerned:
        _, steps = by_child.setdefault(child.ordinal, (child, []))
        steps += [step] if step is not None else []
    return SharedNotes(
        notes=tuple(shared),
        children=tuple(child for child, _ in by_child.values()),
        subjects=", ".join(_named(child, steps) for child, steps in by_child.values()),
    )


def _named(child: ChildJob, steps: Sequence[Step]) -> str:
    names = list(dict.fromkeys(plain(object_name(step.object)) for step in steps))
    of = f" ({listed(names)})" if any(names) else ""
    return f".{child.ordinal} {child.operation}{of}"
