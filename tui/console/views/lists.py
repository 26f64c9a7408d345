"""The lists at the left of the main screen: targets, and the operations of the chosen one."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Final

from engine import Advice, CheckLevel, Level, Operation, OperationInfo, Status, TargetInfo
from engine.config.model import TargetEntry
from engine.domain.advice import CRITICAL, ByHand, all_by_hand, shown_level
from engine.domain.errors import (
    DbtendError,
    HotJournalError,
    PasswordNeededError,
    ServerStartingError,
    ServerUnavailableError,
    TargetBusyError,
    TargetDamagedError,
    TargetMissingError,
    TargetUnrecognizedError,
    TooManyConnectionsError,
)
from engine.domain.frozen import frozen
from engine.domain.steps import Micros
from engine.domain.surveys import FleetLevel, LastJob, Survey, SurveyCause
from engine.fleet.levels import judge_error
from tui.console.keymap import key_of
from tui.console.views.line import MARK, Line, Role, Span, both_ends, fit, named, span_cells, wrapped
from tui.presentation.dead_space import dead_space_rows
from tui.presentation.fact_format import number
from tui.presentation.lock_format import format_lock
from tui.presentation.survey_format import why
from tui.presentation.target_names import TargetName
from tui.presentation.text import GLYPH, plain, shortened, size


@frozen
class TargetState:
    """A target and its last inspection: none yet, its result, or why the target cannot be opened."""

    entry: TargetEntry
    info: TargetInfo | None = None
    error: DbtendError | None = None
    advice: tuple[Advice, ...] | None = None
    """What it needs; None: not known yet; empty: cannot be known."""
    is_inspecting: bool = False
    """Whether an inspection that the user asked for is going on."""
    last_info: TargetInfo | None = None
    """The result of the last inspection that succeeded; None: none has."""
    saved: bool = True
    """Whether it is in the config file, or nothing is saved in this session."""
    survey: Survey | None = None
    """Its last survey; None: never surveyed, or no screen has asked for surveys yet."""
    last_job: LastJob | None = None
    """Its newest job, as far as surveys were asked for."""
    next_due: Micros | None = None
    """When a schedule starts it next, as far as surveys were asked for."""
    is_pattern: bool = False
    """Whether it stands for databases of a server that are not listed yet."""


_ERROR_WORDS: Final[Mapping[type[DbtendError], str]] = {
    TargetMissingError: "missing",
    TargetUnrecognizedError: "no database",
    TargetDamagedError: "damaged",
    HotJournalError: "hot journal",
    PasswordNeededError: "no password",
    ServerUnavailableError: "server down",
    ServerStartingError: "starting up",
    TooManyConnectionsError: "no connection",
    TargetBusyError: "locked",
}
_WORDS: Final = {**{level: level.value for level in Level}, Level.NONE: "ok"}
_ROLES: Final = {
    Level.NOW: Role.FAILED,
    Level.SOON: Role.WARNING,
    Level.UNKNOWN: Role.TEXT,
    Level.UNCHECKED: Role.TEXT,
    Level.SMALL: Role.DIM,
    Level.NONE: Role.DIM,
}


LEVEL_ROLES: Final = {
    FleetLevel.CRITICAL: Role.FAILED,
    FleetLevel.NOW: Role.FAILED,
    FleetLevel.SOON: Role.WARNING,
    FleetLevel.UNCHECKED: Role.TEXT,
    FleetLevel.SMALL: Role.DIM,
    FleetLevel.OK: Role.DIM,
    FleetLevel.UNKNOWN: Role.TEXT,
    FleetLevel.UNREACHABLE: Role.FAILED,
}
_REASON_LEAST: Final = 8
"""Cells of a reason that are worth showing."""


def valid_survey(state: TargetState) -> Survey | None:
    """The survey of a target, unless it could be opened then, and cannot any more; damage stays known."""
    survey = state.survey
    if survey is None or (survey.reason is not None and survey.reason.cause is SurveyCause.DAMAGE):
        return survey
    was_inspected = survey.size is not None and survey.figures_at is None
    return None if state.error is not None and was_inspected else survey


def level_of(state: TargetState) -> FleetLevel | None:
    """How urgent a target is; None: unknown."""
    survey = valid_survey(state)
    if survey is not None:
        return survey.level
    if state.error is not None:
        return judge_error(state.error, is_known=state.survey is not None).level
    return None


def target_rows(
    states: Mapping[int, TargetState], current: int, width: int, marked: Collection[int] = ()
) -> list[Line]:
    """A line for each target, with a dot if it is marked; a second line says why a target cannot be opened."""
    rows: list[Line] = []
    for at, state in states.items():
        here = at == current
        word = _target_word(state)
        room = width - 2 - span_cells(word)
        name = named(TargetName.of(state.entry), room, Role.STRONG if here else Role.TEXT)
        left: list[Span] = [("> " if here else "  ", Role.STRONG), *name]
        if at in marked:
            left[:1] = [(">" if here else " ", Role.STRONG), (MARK, Role.WARNING)]
        free = room - span_cells(name)
        survey = None if state.error is not None or _is_known_better(state) else state.survey
        if survey is not None and free >= _REASON_LEAST + 2:
            left.append((f"  {shortened(why(survey), free - 2)}", Role.DIM))
        rows.append(Line(both_ends(tuple(left), word, width).spans, at))
        if state.error:
            rows += [Line(((fit(f"  {plain(state.error.why)}", width), Role.DIM),), at)]
    return rows


def _is_known_better(state: TargetState) -> bool:
    """Whether the advice tells what the survey had not the time to measure."""
    return state.survey is not None and state.survey.level is FleetLevel.UNKNOWN and bool(state.advice)


def _target_word(state: TargetState) -> tuple[Span, ...]:
    if state.is_inspecting:
        return ((" inspecting …", Role.DIM),)
    if isinstance(state.error, TargetBusyError):
        return ((f" {error_word(state.error)}", Role.WARNING),)
    if state.error is not None:
        return ((f" {GLYPH[Status.FAILED]} {error_word(state.error)}", Role.FAILED),)
    if state.survey is not None and not _is_known_better(state):
        return ((f" {state.survey.level}", LEVEL_ROLES[state.survey.level]),)
    if state.info is None:
        return ((" …", Role.DIM),)
    if not state.advice:
        return ((" " + size(number(state.info.facts, "size")), Role.DIM),)
    found: list[Advice | ByHand] = [*state.advice, *all_by_hand(state.advice)]
    level = shown_level(state.advice)
    return next(filter(None, map(_critical, found)), ((f" {_WORDS[level]}", _ROLES[level]),))


def error_word(error: DbtendError) -> str:
    """Why a target cannot be opened, in a word."""
    return next((word for kind, word in _ERROR_WORDS.items() if isinstance(error, kind)), "unavailable")


def _verdict(advice: Advice, *, is_damaged: bool) -> tuple[Span, ...]:
    """`is_damaged`: nothing about the database is ok."""
    if _is_by_hand(advice) and advice.by_hand is not None:
        return ((" by hand", _role_by_hand(advice.by_hand)),)
    if advice.is_for_primary and not _critical(advice):
        return ((" primary", Role.TEXT),)
    if advice.level is Level.NONE and advice.dead_space:  # nothing is to be done, but "ok" would hide it
        return ((f" {size(sum(one.wasted for one in advice.dead_space))}", Role.TEXT),)
    word = "-" if is_damaged and advice.level is Level.NONE else _WORDS[advice.shown_level]
    return _critical(advice) or ((f" {word}", _ROLES[advice.shown_level]),)


def _is_by_hand(advice: Advice) -> bool:
    """Whether a person has something to do, and the operation nothing."""
    return advice.level is Level.NONE and advice.by_hand is not None


def _role_by_hand(found: ByHand) -> Role:
    if found.is_critical:
        return Role.FAILED
    return Role.TEXT if found.level is Level.NONE else _ROLES[found.level]


def _critical(advice: Advice | ByHand) -> tuple[Span, ...]:
    """`damaged`, which is worse than any level; empty without damage."""
    return ((f" {CRITICAL}", Role.FAILED),) if advice.urgency == CRITICAL else ()


def operation_rows(
    offered: Sequence[OperationInfo],
    advice: Iterable[Advice],
    chosen: Collection[Operation],
    under_cursor: Hashable,
    *,
    width: int,
    height: int,
    check: CheckLevel | None = None,
    note: Sequence[Line] = (),
) -> list[Line]:
    """A checkbox for each operation, with how urgent it is, why, what it does and what it blocks.

    If that is higher than `height`, only those say why that are needed or tell of dead space, and the one under the
    cursor is described below them. If that is still too high, the reason of that one comes first, and the rest is cut.

    Args:
        check: how thorough a check is.
        note: what holds for all of them; it stands below them.
    """
    if not offered:
        return []
    advised = {item.operation: item for item in advice}
    is_damaged = any(item.operation is Operation.CHECK and _critical(item) for item in advised.values())
    boxes = {
        info.operation: _checkbox(info, check, advised.get(info.operation), chosen, width, is_damaged=is_damaged)
        for info in offered
    }
    whys = {name: _why(one, width, indent=4) for name, one in advised.items()}
    all_of_it = [
        row
        for info in offered
        for row in (boxes[info.operation], *whys.get(info.operation, ()), *_described(info, width, indent=4))
    ]
    end = [Line(), *note] if note else []
    if len(all_of_it) + len(end) <= height:
        return [*all_of_it, *end]
    current = next((info for info in offered if info.operation == under_cursor), offered[0])
    known_advice, described = advised.get(current.operation), _described(current, width, indent=0)
    why = [*note, *(_why(known_advice, width, indent=0) if known_advice else ())]
    telling = {one.operation for one in advised.values() if one.is_urgent or _is_by_hand(one) or one.dead_space}
    with_reasons = [row for name, box in boxes.items() for row in (box, *(whys[name] if name in telling else ()))]
    below = described if current.operation in telling else [*why, *described]
    if len(with_reasons) + 1 + len(below) <= height:
        return [*with_reasons, Line(), *map(_keyless, below)]
    return [*boxes.values(), *map(_keyless, _in_room(why, described, width, max(height - len(boxes), 1)))]


def _in_room(why: list[Line], described: list[Line], width: int, room: int) -> list[Line]:
    """What fits below a list: first the reason, then a blank line above it, then the description.

    What does not fit ends with an ellipsis.
    """
    for choice in ([Line(), *why, *described], [Line(), *why] if why else [Line(), *described], why or described):
        if len(choice) <= room:
            return choice
    *shown, last = (why or described)[:room]
    return [*shown, Line(((shortened(f"{last.text.rstrip()} …", width), Role.TEXT if why else Role.DIM),))]


def _checkbox(
    info: OperationInfo,
    check: CheckLevel | None,
    advice: Advice | None,
    chosen: Collection[Operation],
    width: int,
    *,
    is_damaged: bool,
) -> Line:
    name = info.operation
    # No advice for a backup does not mean that there is one.
    silent = advice is None or (name is Operation.BACKUP and not advice.is_needed)
    verdict = () if silent or advice is None else _verdict(advice, is_damaged=is_damaged)
    if info.by_server and (advice is None or advice.level is Level.NONE):
        verdict = ((" none", Role.DIM),)
    box = "    " if info.by_server else "[x] " if name in chosen else "[ ] "
    room = width - len(box) - sum(len(word) for word, _ in verdict)
    phrasings = [name.value]
    if name is Operation.CHECK and check is not None:
        phrasings = [f"{name} ({check})", f"{name} {check}", name.value]
    words = next((phrase for phrase in phrasings if len(phrase) <= room), phrasings[-1])
    return Line(both_ends(((box, Role.KEY), (words, Role.STRONG)), verdict, width).spans, name)


def _why(advice: Advice, width: int, *, indent: int) -> list[Line]:
    text = f"{advice.reason} ({advice.gain})" if advice.gain else advice.reason
    if advice.level is Level.UNKNOWN and advice.inspection_can_tell:
        text += f"; press {key_of('examine')} for a full inspection"
    rows = dead_space_rows(advice.dead_space, width - indent)
    by_hand = f"by hand ({_urgency(advice.by_hand)}): {advice.by_hand.reason}" if advice.by_hand else ""
    return [
        *wrapped(text, width, Role.TEXT, indent=indent, key=advice.operation),
        *(wrapped(by_hand, width, Role.TEXT, indent=indent, key=advice.operation) if by_hand else ()),
        *(Line(((" " * indent + fit(row, width - indent), Role.TEXT),), advice.operation) for row in rows),
    ]


def _urgency(found: ByHand) -> str:
    return "not urgent" if found.level is Level.NONE else found.urgency


def _described(info: OperationInfo, width: int, *, indent: int) -> list[Line]:
    key = info.operation
    return [
        *wrapped(info.summary, width, Role.DIM, indent=indent, key=key),
        *wrapped(format_lock(info.lock), width, Role.DIM, indent=indent, key=key),
    ]


def _keyless(line: Line) -> Line:
    """Text that the cursor skips."""
    return Line(line.spans)
