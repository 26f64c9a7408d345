"""The state of a store as text for Prometheus: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from engine import Status
from engine.domain.overview import Overview, ScheduleCounts
from engine.domain.requests import EngineName
from engine.domain.steps import Micros
from engine.domain.surveys import FleetLevel, counts
from engine.inspection import inspector
from tui.presentation.text import plain

Name = Mapping[str, str]
"""The names of targets by URL."""


def metrics_text(
    overview: Overview,
    *,
    names: Name,
    schedules: Mapping[str, Micros | None],
    config_is_readable: bool,
    version: str,
) -> bytes:
    """`names`: of the exported targets, by URL. `schedules`: when those of the config file are due next."""
    registry = CollectorRegistry()
    for metric in (_store, _messages, _targets, _operations):
        metric(overview, names, registry)
    _schedules(overview, schedules, registry)
    _gauge(registry, "dbtend_config_readable", "Whether the config file can be read", (), [((), config_is_readable)])
    _gauge(registry, "dbtend_info", "The version of dbtend", ("version",), [((version,), 1)])
    return generate_latest(registry)


Sample = tuple[tuple[str, ...], float]


def _gauge(
    registry: CollectorRegistry, name: str, help_text: str, labels: tuple[str, ...], samples: Iterable[Sample]
) -> None:
    gauge = Gauge(name, help_text, labels, registry=registry)
    for values, value in samples:
        (gauge.labels(*values) if labels else gauge).set(value)


def _store(overview: Overview, _: Name, registry: CollectorRegistry) -> None:
    open_jobs = [((status.value,), overview.open_jobs.get(status, 0)) for status in (Status.PENDING, Status.RUNNING)]
    _gauge(registry, "dbtend_jobs_open", "Jobs that have not ended", ("status",), open_jobs)
    _gauge(registry, "dbtend_worker_processes", "Processes that carry out jobs", (), [((), overview.workers)])
    _gauge(registry, "dbtend_worker_processes_stalled", "Those that do not move", (), [((), overview.stalled)])
    _gauge(registry, "dbtend_paused", "Whether no job starts", (), [((), overview.is_paused)])
    at = [((), overview.at / 1e6)]
    _gauge(registry, "dbtend_collected_timestamp_seconds", "When these metrics were collected", (), at)


def _messages(overview: Overview, _: Name, registry: CollectorRegistry) -> None:
    for state, what in (("waiting", "are not delivered yet"), ("given_up", "were given up, of those on record")):
        numbers = [((plain(one.name),), getattr(one, state)) for one in overview.recipients]
        _gauge(registry, f"dbtend_messages_{state}", f"Messages that {what}", ("recipient",), numbers)
    for state, what in (("sent", "delivered"), ("given_up", "given up")):
        times = [(one, getattr(one, f"{state}_at")) for one in overview.recipients]
        _gauge(
            registry, f"dbtend_message_last_{state}_timestamp_seconds", f"When a message was {what} last",
            ("recipient",), [((plain(one.name),), at / 1e6) for one, at in times if at is not None],
        )  # fmt: skip


def _targets(overview: Overview, names: Name, registry: CollectorRegistry) -> None:
    surveys = [one for one in overview.surveys if one.target in names]
    levels = _levels(overview, names)
    numbers = [((level.value,), number) for level, number in counts(levels.values()).items()]
    _gauge(registry, "dbtend_targets", "Targets by level", ("level",), numbers)
    labels = ("target", "name", "engine")

    def of(target: str, engine: EngineName) -> tuple[str, str, str]:
        return plain(target), plain(names[target]), engine.value

    _gauge(
        registry, "dbtend_target_level", "1 for its level", (*labels, "level"),
        [((*of(target, inspector.engine_named_by(target)), level.value), 1) for target, level in levels.items()],
    )  # fmt: skip
    _gauge(
        registry, "dbtend_target_size_bytes", "Size of the database", labels,
        [(of(one.target, one.engine), one.size) for one in surveys if one.size is not None],
    )  # fmt: skip
    _gauge(
        registry, "dbtend_target_reclaimable_bytes", "Bytes that maintenance would give back", labels,
        [(of(one.target, one.engine), one.reclaimable) for one in surveys],
    )  # fmt: skip
    _gauge(
        registry, "dbtend_target_surveyed_timestamp_seconds", "When it was surveyed last", labels,
        [(of(one.target, one.engine), one.surveyed_at / 1e6) for one in surveys],
    )  # fmt: skip
    _gauge(
        registry, "dbtend_target_survey_age_seconds", "How long ago that was", labels,
        [(of(one.target, one.engine), max(overview.at - one.surveyed_at, 0) / 1e6) for one in surveys],
    )  # fmt: skip
    _gauge(
        registry, "dbtend_target_checked_timestamp_seconds", "When a check was clean last; absent if never", labels,
        [(of(one.target, one.engine), one.checked_at / 1e6) for one in surveys if one.checked_at is not None],
    )  # fmt: skip


def _levels(overview: Overview, names: Name) -> Mapping[str, FleetLevel]:
    """By target: that of its last survey, critical if a check found damage since, and unknown without a survey."""
    surveyed = {one.target: one.level for one in overview.surveys}
    return {
        target: FleetLevel.CRITICAL if target in overview.damaged else surveyed.get(target, FleetLevel.UNKNOWN)
        for target in names
    }


def _operations(overview: Overview, names: Name, registry: CollectorRegistry) -> None:
    runs = [run for run in overview.runs if run.target in names]
    labels = ("target", "name", "operation")

    def samples(value: str) -> Iterator[Sample]:
        for run in runs:
            found = getattr(run, value)
            if found is not None:
                yield (plain(run.target), plain(names[run.target]), run.operation.value), found

    outcomes = [
        ((plain(run.target), plain(names[run.target]), run.operation.value, run.status.value), 1.0) for run in runs
    ]
    _gauge(registry, "dbtend_operation_last_outcome", "1 for how it ended last", (*labels, "outcome"), outcomes)
    _gauge(
        registry, "dbtend_operation_last_duration_seconds", "How long it took the last time", labels,
        samples("seconds"),
    )  # fmt: skip
    _gauge(
        registry, "dbtend_operation_last_end_timestamp_seconds", "When it ended last", labels,
        [(values, at / 1e6) for values, at in samples("finished_at")],
    )  # fmt: skip
    _gauge(
        registry, "dbtend_operation_last_completed_timestamp_seconds", "When it completed in full last", labels,
        [(values, at / 1e6) for values, at in samples("completed_at")],
    )  # fmt: skip


def _schedules(overview: Overview, due: Mapping[str, Micros | None], registry: CollectorRegistry) -> None:
    """Those of the config file, also before their first night."""
    recorded = {one.name: one for one in overview.schedules}
    shown = [recorded.get(name, ScheduleCounts(name=name)) for name in due]
    firings = [
        ((plain(one.name), status), getattr(one, status)) for one in shown for status in ("fired", "missed", "skipped")
    ]
    _gauge(
        registry, "dbtend_schedule_firings", "Due times on record by what became of them", ("schedule", "status"),
        firings,
    )  # fmt: skip
    for status, what in (("fired", "fired"), ("missed", "was missed")):
        newest = [(one, getattr(one, f"{status}_at")) for one in shown]
        _gauge(
            registry, f"dbtend_schedule_last_{status}_timestamp_seconds", f"The newest due time that {what}",
            ("schedule",), [((plain(one.name),), at / 1e6) for one, at in newest if at is not None],
        )  # fmt: skip
    _gauge(
        registry, "dbtend_schedule_next_due_timestamp_seconds", "When it is due next; absent while it is disabled",
        ("schedule",), [((plain(name),), at / 1e6) for name, at in due.items() if at is not None],
    )  # fmt: skip
