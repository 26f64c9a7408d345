"""Asks for the name of the target before a request that locks other sessions out runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from engine import Engine, ParentJob, Request
from engine.domain.errors import (
    ServerStartingError,
    ServerUnavailableError,
    TargetBusyError,
    TargetError,
    TooManyConnectionsError,
    UsageError,
)
from engine.domain.frozen import frozen
from engine.inspection import inspector
from engine.inspection.inspector import for_each
from engine.submission.validation import is_elsewhere
from tui.commands import output, terminal_question
from tui.commands.naming import label_of, name_of
from tui.commands.run_async import run_async
from tui.commands.settings import Settings
from tui.presentation.job_notes import unchecked_warning
from tui.presentation.risk import UNKNOWN_LOCKS, confirmation_needed, is_production, risks, with_warnings, word_to_type
from tui.presentation.text import counted, plain, sentences

NAMED: Final = 6
"""Targets that a question names; the others are counted."""


@frozen
class Confirmed:
    """Requests that may run, including those whose locks are unknown if there are several."""

    requests: Sequence[Request]
    unplanned: Sequence[tuple[Request, TargetError]] = ()


def confirmed(asked: Sequence[Request], settings: Settings) -> Confirmed:
    """The requests, confirmed if they need that: all of them at once.

    Raises UsageError without a confirmation or a terminal, TargetError if the only request cannot be planned.
    """
    several = len(asked) > 1
    open_requests = {one.target: one for one in asked if not one.options.confirmed and _may_need_it(one)}
    reasons = run_async(_all_reasons(open_requests, settings, several=several)) if open_requests else {}
    errors = {target: why for target, why in reasons.items() if isinstance(why, TargetError)}
    if errors and not several:
        raise errors[asked[0].target]
    questions = {target: why for target, why in reasons.items() if why and not isinstance(why, TargetError)}
    if questions:
        _ask(questions)
    return Confirmed(
        [
            replace(one, options=replace(one.options, confirmed=True)) if one.target in questions else one
            for one in asked
            if one.target not in errors
        ],
        [(one, errors[one.target]) for one in asked if one.target in errors],
    )


def _ask(reasons: Mapping[str, Sequence[str]]) -> None:
    """Have the name of the target typed; of several their label or their number. Raises UsageError."""
    names = [name_of(target) for target in reasons]
    labels = {label_of(target) for target in reasons}
    word = word_to_type(names, labels.pop() if len(labels) == 1 else None)
    if not terminal_question.can_ask():
        why = next(iter(reasons.values()))
        more = f", and {counted(len(names) - 1, 'other target')}" if len(names) > 1 else ""
        hint = "there is no terminal to ask at: give --yes"
        raise UsageError(names[0] + more, f"needs confirmation: {'. '.join(why)}", hint)
    for name, why in list(zip(names, reasons.values(), strict=True))[:NAMED]:
        output.notice(f"on {name}: {plain(sentences(why))}")
    if len(names) > NAMED:
        output.notice(f"and on {counted(len(names) - NAMED, 'other target')}")
    terminal_question.have_typed(word)


def _may_need_it(request: Request) -> bool:
    return is_production(label_of(request.target)) or bool(inspector.needs_confirmation(request))


async def _all_reasons(
    asked: Mapping[str, Request], settings: Settings, *, several: bool
) -> dict[str, list[str] | TargetError]:
    async with settings.reading_engine() as engine:
        found = await for_each(list(asked), lambda target: _reasons(asked[target], engine, several=several))
    return dict(zip(asked, found, strict=True))


async def tell_before_writing(asked: Sequence[Request], engine: Engine, *, needed: bool = False) -> None:
    """Name the targets that are written to without a check on record, or by force, where a person reads it in time.

    A question names its own. Where nobody reads it, `tell_unchecked` costs less: thousands of histories are not read.
    But for what is `needed` they were read already: it checks first, if it can.
    """
    if not (needed or output.reaches_a_person()):
        return
    unasked = {one.target: one for one in asked if not one.options.confirmed and not is_elsewhere(one)}
    answers = await for_each(list(unasked), lambda target: engine.before_writing(unasked[target]))
    by_name = zip(map(name_of, unasked), answers, strict=True)
    _warn([(name, text) for name, texts in by_name if not isinstance(texts, TargetError) for text in texts])


def tell_unchecked(jobs: Sequence[ParentJob]) -> None:
    """Name the targets that jobs have written to without a check on record, where nobody was told before."""
    if output.reaches_a_person():
        return
    by_target = {job.target: text for job in jobs for child in job.children if (text := unchecked_warning(child))}
    _warn([(name_of(target), text) for target, text in by_target.items()])


def _warn(warnings: Sequence[tuple[str, str]]) -> None:
    """Of each target a warning; those of many are counted."""
    for name, text in warnings[:NAMED]:
        output.notice(f"{name}: {plain(text)}")
    for text, number in Counter(text for _, text in warnings[NAMED:]).items():
        output.notice(f"{counted(number, 'other target')}: {plain(text)}")


async def _reasons(request: Request, engine: Engine, *, several: bool) -> list[str]:
    """Why it needs a confirmation, without a final stop. Raises what submitting it would."""
    label = label_of(request.target)
    if not is_production(label):
        needed = confirmation_needed(inspector.needs_confirmation(request))
        return with_warnings(needed, () if is_elsewhere(request) else await engine.before_writing(request))
    name = name_of(request.target)
    if request.options.if_needed is not None or is_elsewhere(request):
        return [f"{name} is labelled {label}. {UNKNOWN_LOCKS}"]
    try:
        return risks(await engine.plan(request), name, label)
    except (TargetBusyError, ServerUnavailableError) as error:
        if several and isinstance(error, ServerUnavailableError):
            raise
        return [f"{name} is labelled {label}. {_state(error)}, so it is unknown what this blocks"]


def _state(error: TargetBusyError | ServerUnavailableError) -> str:
    """Why it cannot be planned now, in a few words."""
    if isinstance(error, ServerUnavailableError):
        return "It does not answer"
    return f"Its {error.state}" if isinstance(error, ServerStartingError | TooManyConnectionsError) else "It is locked"
