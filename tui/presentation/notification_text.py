"""Messages as plain text and as JSON: pure functions."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from engine.domain.job_outcomes import JobOutcome
from engine.domain.notifications import Event, EventKind, Message, MessageText, most_urgent_first
from engine.domain.schedules import FiringReason
from engine.domain.surveys import FleetLevel, SurveyCause, SurveyReason
from tui.presentation.fact_format import number, text
from tui.presentation.schedule_format import REASONS
from tui.presentation.survey_format import phrase
from tui.presentation.text import counted, local_time, path_of, plain, precise_duration, rfc3339, shortened

Named = Callable[[str], str]
"""The name of a target, harmless to a terminal."""
MOST_LINES: Final = 50
"""The events that a text lists."""
_LONGEST: Final = 300
"""Cells of an error."""
_SUBJECT: Final = 120
"""Cells of a subject."""
_HEADINGS: Final[Mapping[EventKind, str]] = {
    EventKind.CRITICAL: "Critical",
    EventKind.FAILED: "Failed",
    EventKind.MISSED: "Missed",
    EventKind.SKIPPED: "Skipped",
    EventKind.LONGER_THAN_USUAL: "Longer than usual",
    EventKind.RECOVERED: "Recovered",
}


def message_text(message: Message, *, named: Named, store: str) -> MessageText:
    """A message that is ready for delivery. `store`: the store of the jobs, which `dbtend show` reads."""
    events = most_urgent_first(message.events)
    host = socket.gethostname()
    subject = shortened(f"dbtend on {host}: {_summary(events, message.left_out, named)}", _SUBJECT)
    lines = [_counts(events, message.left_out), *_body(events, message.left_out, named)]
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
        "events": [_event_json(event, named) for event in events],
    }
    footer = ["", f"Store: {plain(store)} on {host}. For details: dbtend show JOB"]
    return MessageText(subject, "\n".join([*lines, *footer]) + "\n", document)


def summary(message: Message, *, named: Named) -> str:
    return _summary(most_urgent_first(message.events), message.left_out, named)


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
        "events": [],
    }
    return MessageText(subject, f"{body}\n", document)


def event_phrase(event: Event) -> str:
    """What happened, in one line: `vacuum: disk I/O error`."""
    facts = event.facts
    match event.kind:
        case EventKind.CRITICAL:
            found = _error(event) if "operation" in facts else ""
            return found or _phrase(event)
        case EventKind.FAILED:
            error = _error(event) or text(facts, "reason")
            if facts.get("outcome") == JobOutcome.UNREACHABLE:
                return f"{JobOutcome.UNREACHABLE}: {error}"
            more = int(number(facts, "failed") or 1) - 1
            others = f" (and {counted(more, 'other operation')})" if more else ""
            return f"{text(facts, 'operation')}: {error}{others}"
        case EventKind.MISSED | EventKind.SKIPPED:
            why = text(facts, "error") or _not_fired_because(text(facts, "reason"))
            return f"not started at {local_time(event.at)}" + (f": {why}" if why else "")
        case EventKind.LONGER_THAN_USUAL:
            took, usual = precise_duration(number(facts, "seconds")), precise_duration(number(facts, "median"))
            verb = "has been running for" if facts.get("is_running") else "took"
            return f"{text(facts, 'operation')} {verb} {took}, usually {usual}"
        case EventKind.RECOVERED:
            operations = facts.get("operations")
            names = ", ".join(map(str, operations)) if isinstance(operations, list | tuple) else "it"
            return plain(f"{names} completed; it had failed in job #{int(number(facts, 'failed_job') or 0)}")


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


def _summary(events: Sequence[Event], left_out: int, named: Named) -> str:
    if len(events) == 1 and not left_out:
        return f"{_name(events[0], named)} {_HEADINGS[events[0].kind].lower()}: {_line(events[0])}"
    return _counts(events, left_out)


def _body(events: Sequence[Event], left_out: int, named: Named) -> Iterator[str]:
    for kind, group in groupby(events[:MOST_LINES], key=lambda event: event.kind):
        yield from ("", _HEADINGS[kind])
        for event in group:
            job = f"  #{event.job}" if event.job else ""
            yield f"  {_name(event, named)}{job}  {_line(event)}"
    if (more := max(len(events) - MOST_LINES, 0) + left_out) > 0:
        yield from ("", f"and {more:,} more: dbtend history")


def _line(event: Event) -> str:
    return shortened(" ".join(event_phrase(event).split()), _LONGEST)


def _name(event: Event, named: Named) -> str:
    if not event.target:
        return f"schedule {plain(event.schedule)}"
    return named(event.target)


def _event_json(event: Event, named: Named) -> dict[str, Any]:
    return {
        "kind": event.kind.value,
        "at": rfc3339(event.at),
        "target": event.target or None,
        "name": _name(event, named),
        "job": str(event.job) if event.job else None,
        "schedule": event.schedule or None,
        "text": event_phrase(event),
        "facts": dict(event.facts),
    }
