"""What the console does without until somebody asks for it. How long it takes, benchmarks/console.py tells."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.terminal import Terminal

ROOT = Path(__file__).parents[3]
IMPORTED = re.compile(rb"import time: +\d+ \| +\d+ \| +([\w.]+)")

NOT_AT_THE_START = {
    "carrying out jobs": ("engine.hosting", "engine.processor", "engine.worker", "engine.recovery", "engine.reporter"),
    "planning": ("engine.targets.base", "engine.targets.sqlite.session", "engine.targets.sqlite.planning.planning"),
    "running steps": ("engine.targets.sqlite.running", "engine.targets.sqlite.system.copying"),
    "database servers": ("engine.targets.postgres", "psycopg"),
    "ending by force": ("engine.ending_by_force",),
    "changing the config file": ("engine.config_edit", "tomlkit"),
    "reading a config file, where there is none": ("engine.config_text", "engine.config_table", "tomllib"),
    "JSON of the command line": ("tui.json_form", "tui.planned"),
    "other commands": ("tui.commands.run", "tui.commands.lookup", "tui.commands.report", "tui.commands.foreground"),
    "other screens": tuple(
        f"tui.screens.{name}"
        for name in (
            *("confirm", "doctor", "help", "history", "job", "palette"),
            *("plan", "plans", "submitting", "target_form", "typed_confirm", "workers"),
        )
    ),
    "what other screens say": ("tui.views.job_document", "tui.views.plan_document", "tui.trend", "tui.examination"),
    "finding in the history": ("tui.history_filter",),
    "what of Textual is large": ("markdown_it", "pygments", "textual.widgets._markdown", "textual.widgets._text_area"),
}
"""Why something has no place in the first frame, and the modules that must not be imported for it."""


def test_what_the_first_frame_does_not_need_is_not_imported_for_it(sales: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "tui.cli", "--store", "jobs.db", str(sales)]
    environment = {"PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(Path.cwd())}
    with Terminal(command, environment=environment) as terminal:
        terminal.read_until("vacuum")
        terminal.read_until("engine.targets.sqlite.advising.advice")  # which comes a moment later
        imported = {name.decode() for name in IMPORTED.findall(bytes(terminal.output))}
    assert {"tui.screens.main", "engine.targets.sqlite.looking"} <= imported
    assert {why: _among(names, imported) for why, names in NOT_AT_THE_START.items() if _among(names, imported)} == {}


def _among(names: Iterable[str], imported: Iterable[str]) -> list[str]:
    """What is imported of these modules and of what is in them."""
    return sorted(name for name in imported for wanted in names if f"{name}.".startswith(f"{wanted}."))
