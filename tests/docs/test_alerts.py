"""The alerts of the how-to find what is not there, and name metrics that dbtend writes."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.docs.pages import ROOT

PAGE: Final = (ROOT / "docs/how-to/watch-with-prometheus.md").read_text(encoding="utf-8")
ALERTS: Final = dict(re.findall(r"^- alert: (\w+)\n(.*?)(?=^- alert|^```)", PAGE, re.MULTILINE | re.DOTALL))
METRIC: Final = re.compile(r"dbtend_\w+")
MAY_BE_ABSENT: Final = ("dbtend_target_checked_timestamp_seconds", "dbtend_schedule_last_fired_timestamp_seconds")


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_names_metrics_that_are_written(alert: str) -> None:
    source = (ROOT / "tui/presentation/metrics.py").read_text(encoding="utf-8")
    written = {
        metric
        for state in ("fired", "missed", "sent", "waiting", "given_up")
        for metric in METRIC.findall(source.replace("{status}", state).replace("{state}", state))
    }
    named = set(METRIC.findall(ALERTS[alert]))
    assert named
    assert named <= written


@pytest.mark.parametrize("metric", MAY_BE_ABSENT)
def test_what_never_happened_is_found(metric: str) -> None:
    using = [text for text in ALERTS.values() if metric in text]
    assert using
    assert all(re.search(rf"unless (on \([\w, ]+\) )?{metric}", text) for text in using)


def test_the_end_of_all_metrics_is_found() -> None:
    assert any("absent(dbtend_" in text for text in ALERTS.values())
