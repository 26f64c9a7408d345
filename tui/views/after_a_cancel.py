"""What follows from a cancel, before it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from engine import ChildJob, Status
from tui.after_a_cancel import what_follows
from tui.keymap import key_of


def after_a_cancel(children: Sequence[tuple[ChildJob, str]], now: int) -> str:
    """What becomes of these children, each with its target, which are not over, if they are cancelled now."""
    running = [(child, target) for child, target in children if child.status is Status.RUNNING]
    name_it = len(children) > 1
    said = [
        _goes_on(child, target, now, called=child.operation.value if name_it else "it") for child, target in running
    ]
    if len(running) < len(children):
        said.append("What waits does not start." if running else "It has not begun, and does not start.")
    return " ".join(dict.fromkeys(said))


def _goes_on(child: ChildJob, target: str, now: int, *, called: str) -> str:
    by_force = f"{key_of('cancel')} again ends it by force"
    phrases = what_follows(child, target, now, by_force=by_force, called=called)
    # Neither a key nor the name of an operation has a capital.
    return " ".join(f"{_capital(one) if one.startswith(('it ', 'leaves: ')) else one}." for one in phrases)


def _capital(phrase: str) -> str:
    return phrase[0].upper() + phrase[1:]
