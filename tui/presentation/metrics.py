"""The state of a store as text for Prometheus: pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from engine import Status
from engine.domain.engines import EngineName
from engine.domain.job_outcomes import JobOutcome
from engine.domain.overview import Overview, ScheduleCounts
from engine.domain.schedules import Night
from engine.domain.steps import Micros
from engine.domain.surveys import FleetLevel, Survey, counts
from engine.inspection import inspector
from tui.presentation.text import plain

Name = Mapping[str, str]
"""The names of targets by URL."""


Sample = tuple[tuple[str, ...], float]
"""The values of its labels, and its value."""
Metric = tuple[str, str, tuple[str, ...], Iterable[Sample]]
"""Name, meaning, labels and samples."""


def metrics_text(
    overview: Overview,
    *,
    names: Name,
    schedules: Mapping[str, Micros | None],
    nights: Mapping[str, Night],
    config_is_readable: bool,
    version: str,
) -> bytes:
    """The metrics.

    Args:
        names: of the exported targets, by URL.
        schedules: when those of the config file are due next.
        nights: the newest one of each schedule that started jobs.
    """
    registry = CollectorRegistry()
    metrics = chain(_store(overview), _messages(overview), _targets(overview, names), _operations(overview, names))
    own: tuple[Metric, ...] = (
        ("dbtend_config_readable", "Whether the config file can be read", (), [((), config_is_readable)]),
        ("dbtend_info", "The version of dbtend", ("version",), [((version,), 1)]),
    )
    for name, meaning, labels, samples in chain(metrics, _schedules(overview, schedules), _nights(nights), own):
        gauge = Gauge(name, meaning, labels, registry=registry)
        for values, value in samples:
            (gauge.labels(*values) if labels else gauge).set(value)
    return generate_latest(registry)


def _store(overview: Overview) -> Iterator[Metric]:
    open_jobs = [((status.value,), overview.open_jobs.get(status, 0)) for status in (Status.PENDING, Status.RUNNING)]
    yield "dbtend_jobs_open", "Jobs that have not ended", ("status",), open_jobs
    yield "dbtend_worker_processes", "Processes that carry out jobs", (), [((), overview.workers)]
    yield "dbtend_worker_processes_stalled", "Those that do not move", (), [((), overview.stalled)]
    yield "dbtend_paused", "Whether no job starts", (), [((), overview.is_paused)]
    at = [((), overview.at / 1e6)]
    yield "dbtend_collected_timestamp_seconds", "When these metrics were collected", (), at


def _messages(overview: Overview) -> Iterator[Metric]:
    for state, what in (("waiting", "are not delivered yet"), ("given_up", "were given up, of those on record")):
        numbers = [((plain(recipient.name),), getattr(recipient, state)) for recipient in overview.recipients]
        yield f"dbtend_messages_{state}", f"Messages that {what}", ("recipient",), numbers
    for state, what in (("sent", "delivered"), ("given_up", "given up")):
        newest = [(recipient, getattr(recipient, f"{state}_at")) for recipient in overview.recipients]
        times = [((plain(one.name),), at / 1e6) for one, at in newest if at is not None]
        name = f"dbtend_message_last_{state}_timestamp_seconds"
        yield name, f"When a message was {what} last", ("recipient",), times


def _targets(overview: Overview, names: Name) -> Iterator[Metric]:
    surveys = [survey for survey in overview.surveys if survey.target in names]
    levels = _levels(overview, names)
    numbers = [((level.value,), number) for level, number in counts(levels.values()).items()]
    yield "dbtend_targets", "Targets by level", ("level",), numbers
    labels = ("target", "name", "engine")

    def of(target: str, engine: EngineName) -> tuple[str, str, str]:
        return plain(target), plain(names[target]), engine

    def samples(value: Callable[[Survey], float | None]) -> Iterator[Sample]:
        for survey in surveys:
            found = value(survey)
            if found is not None:
                yield of(survey.target, survey.engine), found

    of_levels = [((*of(url, inspector.engine_named_by(url)), level.value), 1.0) for url, level in levels.items()]
    yield "dbtend_target_level", "1 for its level", (*labels, "level"), of_levels
    yield "dbtend_target_size_bytes", "Size of the database", labels, samples(lambda one: one.size)
    reclaimable = samples(lambda one: None if one.size is None else one.reclaimable)
    yield "dbtend_target_reclaimable_bytes", "Bytes that maintenance would give back", labels, reclaimable
    figures = samples(lambda one: None if one.size is None else (one.figures_at or one.surveyed_at) / 1e6)
    meaning = "When these bytes were measured; they stay while it cannot be inspected"
    yield "dbtend_target_figures_timestamp_seconds", meaning, labels, figures
    surveyed = samples(lambda one: one.surveyed_at / 1e6)
    yield "dbtend_target_surveyed_timestamp_seconds", "When it was surveyed last", labels, surveyed
    age = samples(lambda one: max(overview.at - one.surveyed_at, 0) / 1e6)
    yield "dbtend_target_survey_age_seconds", "How long ago that was", labels, age
    checked = samples(lambda one: None if one.checked_at is None else one.checked_at / 1e6)
    yield "dbtend_target_checked_timestamp_seconds", "When a check was clean last; absent if never", labels, checked


def _levels(overview: Overview, names: Name) -> Mapping[str, FleetLevel]:
    """By target: that of its last survey, or what a job found since; unknown without both."""
    levels = {survey.target: survey.level for survey in overview.surveys}
    levels |= dict.fromkeys(overview.damaged, FleetLevel.CRITICAL)
    return {target: levels.get(target, FleetLevel.UNKNOWN) for target in names}


def _operations(overview: Overview, names: Name) -> Iterator[Metric]:
    runs = [run for run in overview.runs if run.target in names]
    labels = ("target", "name", "operation")

    def samples(value: str, unit: float = 1.0) -> Iterator[Sample]:
        for run in runs:
            found = getattr(run, value)
            if found is not None:
                yield (plain(run.target), plain(names[run.target]), run.operation.value), found / unit

    outcomes = [
        ((plain(run.target), plain(names[run.target]), run.operation.value, run.status.value), 1.0) for run in runs
    ]
    yield "dbtend_operation_last_outcome", "1 for how it ended last", (*labels, "outcome"), outcomes
    yield "dbtend_operation_last_duration_seconds", "How long it took the last time", labels, samples("seconds")
    ended = samples("finished_at", 1e6)
    yield "dbtend_operation_last_end_timestamp_seconds", "When it ended last", labels, ended
    completed = samples("completed_at", 1e6)
    yield "dbtend_operation_last_completed_timestamp_seconds", "When it completed in full last", labels, completed


def _nights(nights: Mapping[str, Night]) -> Iterator[Metric]:
    left = [
        ((plain(name),), sum(night.batch.counts.get(one, 0) for one in (JobOutcome.SKIPPED, JobOutcome.PARTIAL)))
        for name, night in nights.items()
        if night.batch is not None
    ]
    meaning = "Targets on which its newest night left work that was not begun, and nothing failed"
    yield "dbtend_schedule_last_not_begun", meaning, ("schedule",), left


def _schedules(overview: Overview, due: Mapping[str, Micros | None]) -> Iterator[Metric]:
    """Metrics of the schedules in the config file, also before their first night."""
    recorded = {schedule.name: schedule for schedule in overview.schedules}
    shown = [recorded.get(name, ScheduleCounts(name=name)) for name in due]
    firings = [
        ((plain(one.name), status), getattr(one, status)) for one in shown for status in ("fired", "missed", "skipped")
    ]
    yield "dbtend_schedule_firings", "Due times on record by what became of them", ("schedule", "status"), firings
    for status, what in (("fired", "fired"), ("missed", "was missed")):
        newest = [(one, getattr(one, f"{status}_at")) for one in shown]
        times = [((plain(one.name),), at / 1e6) for one, at in newest if at is not None]
        name = f"dbtend_schedule_last_{status}_timestamp_seconds"
        yield name, f"The newest due time that {what}", ("schedule",), times
    meaning = "When it is due next; absent while it is disabled"
    times = [((plain(name),), at / 1e6) for name, at in due.items() if at is not None]
    yield "dbtend_schedule_next_due_timestamp_seconds", meaning, ("schedule",), times
