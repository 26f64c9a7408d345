"""The notes about a job as coloured lines."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from engine import ChildJob, ParentJob, Reason, Status
from tui.console.keymap import key_of
from tui.console.views.line import Line, Role, line, wrapped
from tui.presentation.effect_summary import error_of, remedy
from tui.presentation.job_notes import Instructions, Note, NoteKind, advice_to_open, notes
from tui.presentation.shared_notes import SharedNotes

_ROLES = {
    NoteKind.WAIT: Role.WARNING,
    NoteKind.WAIT_LIMIT: Role.DIM,
    NoteKind.CANCEL: Role.CANCELLED,
    NoteKind.ADVICE: Role.TEXT,
    NoteKind.REASON: Role.DIM,
}


def instructions() -> Instructions:
    """The keys with which a person acts on a job."""
    cancel_again = f"press {key_of('cancel')} again"
    return Instructions(
        retry=f"press {key_of('retry')}", show=f"press {key_of('open')}", skip_recovery=cancel_again, force=cancel_again
    )


def remarks(
    parent: ParentJob,
    child: ChildJob,
    width: int,
    *,
    indent: int = 0,
    with_error: bool = True,
    told: Collection[str] = (),
) -> list[Line]:
    """The notes about a child; `with_error`: its error, too; without the texts in `told`."""
    lines: list[Line] = []
    for note in notes(parent, child, instructions()):
        if note.text not in told and (with_error or note.kind is not NoteKind.ERROR):
            lines += wrapped(note.text, width, _role(note, child), indent=indent)
    return lines


def shared_lines(shared: Sequence[SharedNotes], width: int) -> list[Line]:
    """Shared texts, each once, with the children or steps that share it."""
    lines: list[Line] = []
    for one in shared:
        first, *others = one.notes
        lines += [line(), *wrapped(first.text, width, _role(first, one.children[0]))]
        lines += wrapped(one.subjects, width, Role.DIM, indent=4)
        for note in others:
            lines += wrapped(note.text, width, _role(note, one.children[0]), indent=4)
    return lines


def _role(note: Note, child: ChildJob) -> Role:
    return _error_role(child) if note.kind is NoteKind.ERROR else _ROLES[note.kind]


def _error_role(child: ChildJob) -> Role:
    if child.reason is Reason.NOT_NEEDED:
        return Role.DIM
    by_status = {Status.CANCELLED: Role.CANCELLED, Status.COMPLETED: Role.WARNING}
    return by_status.get(child.status, Role.FAILED)


def failure_lines(parent: ParentJob, width: int) -> list[Line]:
    """The errors of all children, one that several share once, and what to do about them."""
    errors: dict[tuple[str, Role], list[ChildJob]] = {}
    for child in parent.children:
        if child.error and child.reason is not Reason.NOT_NEEDED:
            errors.setdefault((error_of(child, parent.target), _error_role(child)), []).append(child)
    lines: list[Line] = []
    for (error, role), children in errors.items():
        names = ", ".join(child.operation.value for child in children)
        lines += wrapped(f"{names}: {error}" if len(parent.children) > 1 else error, width, role)
    for what_to_do in dict.fromkeys(filter(None, map(remedy, parent.children))):
        lines += wrapped(what_to_do, width)
    next_step = next(filter(None, (advice_to_open(parent, child, instructions()) for child in parent.children)), "")
    return lines + (wrapped(next_step, width) if next_step else [])
