"""Messages as plain text and as JSON: pure functions."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from types import MappingProxyType
from typing import Any, Final

from engine.domain.batches import BatchId
from engine.domain.job_outcomes import JobOutcome
from engine.domain.notifications import Event, EventKind, Message, MessageText, ToldBatch, most_urgent_first
from engine.domain.schedules import FiringReason
from engine.domain.steps import Facts
from engine.domain.surveys import FleetLevel, SurveyCause, SurveyReason
from engine.domain.time_zones import zone_named
from tui.presentation.fact_format import number, text
from tui.presentation.schedule_format import REASONS
from tui.presentation.survey_format import phrase
from tui.presentation.text import counted, path_of, plain, precise_duration, rfc3339, shortened, time_in_zone

Named = Callable[[str], str]
"""The name of a target, harmless to a terminal."""
MOST_LINES: Final = 50
"""The events that a text lists."""
_LONGEST: Final = 300
"""Cells of an error."""
_SUBJECT: Final = 120
"""Cells of a subject."""
_NAMED: Final = 2
"""Nights that a subject names; more are counted."""
_NIGHT: Final = 40
"""Cells of the name of a night in a subject."""
_COMMANDS: Final = 5
"""Commands that a message names, at most."""
_HEADINGS: Final[Mapping[EventKind, str]] = {
    EventKind.CRITICAL: "Critical",
    EventKind.FAILED: "Failed",
    EventKind.MISSED: "Missed",
    EventKind.SKIPPED: "Skipped",
    EventKind.NOT_BEGUN: "Not begun",
    EventKind.LONGER_THAN_USUAL: "Longer than usual",
    EventKind.RECOVERED: "Recovered",
}


def message_text(message: Message, *, named: Named, store: str) -> MessageText:
    """A message that is ready for delivery. `store`: the store of the jobs, which `dbtend show` reads."""
    events = most_urgent_first(message.events)
    host = socket.gethostname()
    subject = shortened(f"dbtend on {host}: {_nights(message)}{_summary(message, events, named)}", _SUBJECT)
    lines = [_counts(events, message.left_out), *_batches(message), *_body(message, events, named)]
    document = {
        "text": "\n".join([subject, "", *lines[1:]]).rstrip(),
        "subject": subject,
        "message": message.key,
        "recipient": message.recipient,
        "host": host,
        "store": store,
        "created_at": rfc3339(message.created_at),
        "counts": {kind.value: sum(event.kind is kind for event in events) for kind in EventKind},
        "left_out": message.left_out,
        "batches": [_batch_json(told, message.zones) for told in message.batches],
        "events": [_event_json(event, named, message.zones) for event in events],
    }
    footer = ["", f"Store: {plain(store)} on {host}. For details: {', '.join(_commands(message))}"]
    return MessageText(subject, "\n".join([*lines, *footer]) + "\n", document)


def summary(message: Message, *, named: Named) -> str:
    return f"{_nights(message)}{_summary(message, most_urgent_first(message.events), named)}"


def trial_message(recipient: str, at: int) -> MessageText:
    host = socket.gethostname()
    subject = f"dbtend on {host}: test message for {plain(recipient)}"
    body = "This is a test. Messages of dbtend arrive here."
    document: dict[str, Any] = {
        "text": f"{subject}\n\n{body}",
        "subject": subject,
        "message": None,
        "recipient": recipient,
        "host": host,
        "store": None,
        "created_at": rfc3339(at),
        "counts": {kind.value: 0 for kind in EventKind},
        "left_out": 0,
        "batches": [],
        "events": [],
    }
    return MessageText(subject, f"{body}\n", document)


def event_phrase(event: Event, zones: Mapping[str, str] = MappingProxyType({})) -> str:
    """What happened, in one line: `vacuum: disk I/O error`. `zones`: the time zones of schedules, by name."""
    facts = event.facts
    match event.kind:
        case EventKind.CRITICAL:
            found = _error(event) if "operation" in facts else ""
            return found or _phrase(event)
        case EventKind.FAILED if not event.target:
            return f"to put right by hand first: {text(facts, 'error')}"
        case EventKind.FAILED:
            error = _error(event) or text(facts, "reason")
            if facts.get("outcome") == JobOutcome.UNREACHABLE:
                return f"{JobOutcome.UNREACHABLE}: {error}"
            more = int(number(facts, "failed") or 1) - 1
            others = f" (and {counted(more, 'other operation')})" if more else ""
            return f"{text(facts, 'operation')}: {error}{others}"
        case EventKind.MISSED | EventKind.SKIPPED:
            why = text(facts, "error") or _not_fired_because(text(facts, "reason"))
            return f"not started at {time_in_zone(event.at, zones.get(event.schedule, ''))}" + (
                f": {why}" if why else ""
            )
        case EventKind.NOT_BEGUN:
            times = int(number(facts, "left_out_times") or 0)
            again = f"; nothing began in {times} jobs in a row" if times > 1 else ""
            return f"its window closed before all of {_operations(facts)} began{again}"
        case EventKind.LONGER_THAN_USUAL:
            took, usual = precise_duration(number(facts, "seconds")), precise_duration(number(facts, "median"))
            verb = "has been running for" if facts.get("is_running") else "took"
            return f"{text(facts, 'operation')} {verb} {took}, usually {usual}"
        case EventKind.RECOVERED if not event.target:
            due = time_in_zone(event.at, zones.get(event.schedule, ""))
            return f"started after all at {due}, although it was reported as missed: the clock was ahead"
        case EventKind.RECOVERED:
            return plain(
                f"{_operations(facts)} completed; it had failed in job #{int(number(facts, 'failed_job') or 0)}"
            )


def _operations(facts: Facts) -> str:
    operations = facts.get("operations")
    return plain(", ".join(map(str, operations)) if isinstance(operations, list | tuple) else "it")


def _error(event: Event) -> str:
    """It may begin with the path of its target, which is named before it."""
    path = plain(path_of(event.target))
    return text(event.facts, "error").removeprefix(f"{path}: ")


def _not_fired_because(reason: str) -> str:
    return REASONS[FiringReason(reason)] if reason in list(FiringReason) else ""


def _phrase(event: Event) -> str:
    try:
        cause = SurveyCause(str(event.facts.get("cause")))
    except ValueError:
        return "critical"
    return phrase(SurveyReason(FleetLevel.CRITICAL, cause, event.facts))


def _counts(events: Sequence[Event], left_out: int) -> str:
    """`2 failed, 1 recovered`."""
    found = Counter(event.kind for event in events)
    parts = [f"{found[kind]:,} {_HEADINGS[kind].lower()}" for kind in EventKind if found[kind]]
    return ", ".join([*parts, f"{left_out:,} more"] if left_out else parts)


def _summary(message: Message, events: Sequence[Event], named: Named) -> str:
    if len(events) == 1 and not message.left_out:
        return f"{_name(events[0], named)} {_HEADINGS[events[0].kind].lower()}: {_line(events[0], message.zones)}"
    return _counts(events, message.left_out)


def _nights(message: Message) -> str:
    """What the message is about, before its summary: `nightly b12: `; "" if that says all."""
    names = [shortened(_batch_name(told), _NIGHT) for told in message.batches]
    started = {told.firing.schedule for told in message.batches if told.firing is not None}
    not_fired = (
        {event.schedule: None for event in message.events if not event.target} if len(message.events) > 1 else {}
    )
    names += [shortened(plain(name), _NIGHT) for name in not_fired if name not in started]
    if len(names) > _NAMED:
        names = [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1:,} others"]
    return f"{', '.join(names)}: " if names else ""


def _batch_name(told: ToldBatch) -> str:
    number = str(BatchId(told.batch.id))
    return number if told.firing is None else f"{plain(told.firing.schedule)} {number}"


def _batches(message: Message) -> Iterator[str]:
    """`nightly b12, due 2026-11-27 22:00:00 CET (Europe/Berlin): 13 of 16 completed`, and how to see it."""
    if message.batches:
        yield ""
    for told in message.batches[:MOST_LINES]:
        firing, counts = told.firing, told.batch.counts
        due = ""
        if firing is not None:
            verb = "run by hand" if firing.reason is FiringReason.BY_HAND else "due"
            due = f", {verb} {time_in_zone(firing.due_at, message.zones.get(firing.schedule, ''))}"
        ended = [f"{counts.get(JobOutcome.COMPLETED, 0):,} of {told.batch.total:,} completed"]
        ended += [f"{counts[one]:,} {one}" for one in JobOutcome if one is not JobOutcome.COMPLETED and counts.get(one)]
        yield f"{_batch_name(told)}{due}: {', '.join(ended)}"
        yield f"  dbtend show {BatchId(told.batch.id)}"
    if (more := len(message.batches) - MOST_LINES) > 0:
        yield f"and {more:,} more"


def _commands(message: Message) -> Sequence[str]:
    """The commands that show what the message is about, the first of each kind."""
    shown = [f"dbtend show {BatchId(told.batch.id)}" for told in message.batches]
    if not shown:
        shown = [f"dbtend show {event.job.parent}" for event in message.events if event.job is not None]
    if any(event.target and event.job is None for event in message.events):
        shown = ["dbtend fleet", *shown]
    schedules = dict.fromkeys(event.schedule for event in message.events if not event.target)
    shown = [*(f"dbtend schedules {plain(name)}" for name in schedules), *shown]
    return list(islice(dict.fromkeys(shown), _COMMANDS)) or ["dbtend history"]


def _body(message: Message, events: Sequence[Event], named: Named) -> Iterator[str]:
    for kind, group in groupby(events[:MOST_LINES], key=lambda event: event.kind):
        yield from ("", _HEADINGS[kind])
        for event in group:
            job = f"  #{event.job}" if event.job else ""
            yield f"  {_name(event, named)}{job}  {_line(event, message.zones)}"
    if (more := max(len(events) - MOST_LINES, 0) + message.left_out) > 0:
        yield from ("", f"and {more:,} more: dbtend history")


def _line(event: Event, zones: Mapping[str, str]) -> str:
    return shortened(" ".join(event_phrase(event, zones).split()), _LONGEST)


def _name(event: Event, named: Named) -> str:
    if not event.target:
        return f"schedule {plain(event.schedule)}"
    return named(event.target)


def _batch_json(told: ToldBatch, zones: Mapping[str, str]) -> dict[str, Any]:
    firing, counts = told.firing, told.batch.counts
    return {
        "batch": str(BatchId(told.batch.id)),
        "schedule": None if firing is None else firing.schedule,
        "due_at": None if firing is None else rfc3339(firing.due_at),
        "timezone": None if firing is None else zone_named(zones.get(firing.schedule, "")).key,
        "counts": {outcome.value: counts.get(outcome, 0) for outcome in JobOutcome},
    }


def _event_json(event: Event, named: Named, zones: Mapping[str, str]) -> dict[str, Any]:
    return {
        "kind": event.kind.value,
        "at": rfc3339(event.at),
        "target": event.target or None,
        "name": _name(event, named),
        "job": str(event.job) if event.job else None,
        "schedule": event.schedule or None,
        "text": event_phrase(event, zones),
        "facts": dict(event.facts),
    }
