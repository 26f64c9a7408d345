"""The alerts of the how-to fire and end: run by promtool, on the rules that the page shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.docs.pages import ROOT

PAGE: Final = (ROOT / "docs/how-to/watch-with-prometheus.md").read_text(encoding="utf-8")
RULES: Final = re.findall(r"^```yaml\n(- alert: .*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0]
ALERTS: Final = re.findall(r"^- alert: (\w+)$", RULES, re.MULTILINE)
DAY: Final = 86_400
TARGET: Final = '{instance="db1",target="sqlite:///s.db",name="s",engine="sqlite"'
Series = dict[str, str]
"""The values of each series, one an hour from 1970 on."""
Expected = dict[str, bool]
"""By time, as promtool writes it, whether it fires."""
CASES: Final[list[tuple[str, Series, Expected]]] = [
    ("DatabaseCritical", {f'dbtend_target_level{TARGET},level="critical"}}': "1 1 stale"}, {"0s": True, "2h": False}),
    ("DatabaseCritical", {f'dbtend_target_level{TARGET},level="now"}}': "1x9"}, {"1h": False}),
    (
        "MaintenanceFailed",
        {'dbtend_operation_last_outcome{operation="vacuum",outcome="failed"}': "1 1 stale"},
        {"1h": True, "2h": False},
    ),
    (
        "NotCheckedForAMonth",
        {
            f"dbtend_target_checked_timestamp_seconds{TARGET}}}": f"0x800 {DAY * 33}x50",
            f'dbtend_target_level{TARGET},level="ok"}}': "1x900",
        },
        {"30d": False, "30d1h": True, "33d10h": False},
    ),
    (
        "NotCheckedForAMonth",
        {
            f"dbtend_target_checked_timestamp_seconds{TARGET}}}": "_ _ _ 10800x9",
            f'dbtend_target_level{TARGET},level="unknown"}}': "1x9",
        },
        {"1h": True, "3h": False},
    ),
    (
        "NotInspectedForAWeek",
        {f"dbtend_target_figures_timestamp_seconds{TARGET}}}": f"0x170 {170 * 3600}x9"},
        {"7d": False, "7d1h": True, "7d4h": False},
    ),
    (
        "NightMissed",
        {
            "dbtend_schedule_last_missed_timestamp_seconds": "3600x9",
            "dbtend_schedule_last_fired_timestamp_seconds": "0 0 0 7200x9",
        },
        {"2h": True, "3h": False},
    ),
    (
        "NightMissed",
        {
            "dbtend_schedule_last_missed_timestamp_seconds": "3600x9",
            "dbtend_schedule_last_fired_timestamp_seconds": "_ _ _ 7200x9",
        },
        {"2h": True, "3h": False},
    ),
    (
        "NoNightForTwoDays",
        {
            "dbtend_schedule_last_fired_timestamp_seconds": f"0x50 {50 * 3600}x20",
            "dbtend_schedule_next_due_timestamp_seconds": "1x100",
        },
        {"2d": False, "2d1h": True, "2d3h": False},
    ),
    ("NoNightForTwoDays", {"dbtend_schedule_next_due_timestamp_seconds": "1x30 stale"}, {"23h": False, "1d": True}),
    ("NoNightForTwoDays", {"dbtend_schedule_last_fired_timestamp_seconds": "0x90"}, {"2d12h": False}),
    (
        "MessagesNotDelivered",
        {'dbtend_messages_waiting{recipient="ops"}': "1 1 0"},
        {"0s": False, "1h": True, "2h": False},
    ),
    (
        "MessageGivenUp",
        {'dbtend_message_last_given_up_timestamp_seconds{recipient="ops"}': "_ 3600x30"},
        {"1h": True, "1d": True, "1d1h": False},
    ),
    ("ConfigCannotBeRead", {"dbtend_config_readable": "1 0 1"}, {"0s": False, "1h": True, "2h": False}),
    ("MetricsAreOld", {"dbtend_collected_timestamp_seconds": "0 0 0 10800"}, {"1h": False, "2h": True, "3h": False}),
    ("MetricsAreGone", {"dbtend_collected_timestamp_seconds": "0 stale _ 0"}, {"0s": False, "2h": True, "3h": False}),
]


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        assert "CI" not in os.environ, "promtool is missing"
        pytest.skip("there is no promtool: install the Debian package prometheus")
    return found


def test_each_alert_has_a_case() -> None:
    assert {alert for alert, *_ in CASES} == set(ALERTS)


def test_the_alerts_fire_and_end(promtool: str, tmp_path: Path) -> None:
    """Each test of promtool expects no alert at any of the times, and is told which there were."""
    rules = "".join(f"    {line}" for line in RULES.splitlines(keepends=True))
    (tmp_path / "rules.yml").write_text(f"groups:\n- name: dbtend\n  rules:\n{rules}")
    tests = [
        {
            "name": str(number),
            "interval": "1h",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "alert_rule_test": [{"eval_time": at, "alertname": alert, "exp_alerts": []} for at in expected],
        }
        for number, (alert, series, expected) in enumerate(CASES)
    ]
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "1h", "tests": tests}
    (tmp_path / "test.yml").write_text(json.dumps(document))
    done = subprocess.run(
        [promtool, "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    fired = re.findall(r"name: (\d+),\s+alertname: (\w+), time: (\w+),", said)
    assert fired == [
        (str(number), alert, at)
        for number, (alert, _, expected) in enumerate(CASES)
        for at, fires in expected.items()
        if fires
    ], said
