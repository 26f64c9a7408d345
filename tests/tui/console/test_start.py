"""What the start of the console does not import or do. Its duration: benchmarks/console.py."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from benchmarks.terminal import Terminal
from engine import Engine, OnDuplicate, ParentJob
from tests.building import new_job
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, add_completed_job, entry, open_console
from tui.console import console_screen
from tui.console.screens import main
from tui.console.views.header import header_line
from tui.console.views.keys import footer_line
from tui.console.views.line import Line, Span
from tui.console.views.lists import TargetState

ROOT = Path(__file__).parents[3]
IMPORTED = re.compile(rb"import time: +\d+ \| +\d+ \| +([\w.]+)")

NOT_AT_THE_START = {
    "running jobs": (
        "engine.execution.worker_runtime",
        "engine.execution.processor",
        "engine.execution.worker",
        "engine.execution.recovery",
        "engine.execution.reporter",
    ),
    "what passes between the store and workers": ("engine.domain.claims",),
    "planning": tuple(f"engine.targets.{name}" for name in ("plans", "sqlite.session", "sqlite.planning.planner")),
    "running steps": (
        "engine.targets.step_execution",
        "engine.targets.sqlite.running",
        "engine.targets.sqlite.system.copying",
    ),
    "keys of the config file": ("engine.config.keys",),
    "telling people": ("engine.domain.notifications", "engine.store.sqlite.notifications", "engine.notify"),
    "schedules and metrics": (
        "engine.store.sqlite.schedules",
        "engine.domain.overview",
        "engine.store.sqlite.overview",
    ),
    "submitting jobs": ("engine.submission", "engine.store.sqlite.transactions", "engine.store.sqlite.store_admin"),
    "actions on jobs": (
        "tui.console.parts.many_job_actions",
        *("tui.console.views.cancel_question", "tui.console.connection_test", "engine.inspection.demo_database"),
    ),
    "trends and filters": ("engine.history.trends", "engine.fleet.filters", "engine.history.maintained_files"),
    "database servers": ("engine.targets.postgres", "psycopg"),
    "force kill": ("engine.execution.force_kill",),
    "changing the config file": ("engine.config.editor", "tomlkit"),
    "reading a config file, where there is none": ("engine.config.parser", "engine.config.typed_table", "tomllib"),
    "JSON of the command line": ("tui.presentation.json_format", "tui.presentation.plan_summary"),
    "other commands": (
        "tui.commands.run",
        "tui.commands.lookup",
        "tui.commands.report",
        "tui.commands.foreground",
        "shtab",
    ),
    "other screens": tuple(
        f"tui.console.screens.{name}"
        for name in (
            *("confirm", "doctor", "help", "history", "job", "palette"),
            *("plan", "plans", "submitting", "target_form", "typed_questions", "workers"),
        )
    ),
    "text of other screens": (
        "tui.console.views.job_document",
        "tui.console.views.plan_document",
        "tui.presentation.trend_plot",
        "tui.commands.diagnostics",
    ),
    "page maps": (
        *("engine.domain.kept_page_map", "engine.domain.page_map", "tui.presentation.page_map"),
        *(f"engine.targets.sqlite.reading.{name}" for name in ("page_map", "read_times")),
    ),
    "the detail of a job, where there is none": ("tui.console.views.detail", "tui.presentation.job_notes"),
    "what only a mistake or a server wants to know": (
        "tui.commands.passwords",
        "tui.commands.terminal_question",
        "shlex",
    ),
    "what the store is to the type checker": ("engine.store.protocol",),
    "finding in the history": ("tui.presentation.history_filter",),
    "the command list": ("tui.console.command_palette", "tui.console.views.palette"),
    "copying, and who pauses": ("tui.console.clipboard", "engine.system.current_user"),
    "large parts of Textual": ("markdown_it", "pygments", "textual.widgets._markdown", "textual.widgets._text_area"),
}
"""Why something has no place in the first frame, and the modules that must not be imported for it."""


def test_what_the_first_frame_does_not_need_is_not_imported_for_it(sales: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "tui.cli", "--store", "jobs.db", str(sales)]
    environment = {"PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(Path.cwd())}
    with Terminal(command, environment=environment) as terminal:
        terminal.read_until("vacuum")
        terminal.read_until("engine.targets.sqlite.advising.collect")  # which comes a moment later
        until_advice, _, _ = bytes(terminal.output).partition(b"engine.targets.sqlite.advising.collect")
        imported = {name.decode() for name in IMPORTED.findall(until_advice)}
    assert {"tui.console.screens.main", "engine.targets.sqlite.inspection"} <= imported
    assert {why: _among(names, imported) for why, names in NOT_AT_THE_START.items() if _among(names, imported)} == {}


def test_the_version_is_printed_without_the_engine() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "tui.cli", "--version"]
    done = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    imported = {name.decode() for name in IMPORTED.findall(done.stderr)}
    assert (
        _among(("asyncio", "engine.engine", "engine.store", "engine.targets", "tui.commands.settings"), imported) == []
    )


def test_the_history_is_listed_without_targets_and_inspections(empty_store: Path, tmp_path: Path) -> None:
    store = shutil.copy(empty_store, tmp_path / "jobs.db")
    command = [sys.executable, "-X", "importtime", "-m", "tui.cli", "history", "--store", str(store)]
    done = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    imported = {name.decode() for name in IMPORTED.findall(done.stderr)}
    assert "engine.store.sqlite.store" in imported
    not_needed = (
        *("engine.targets", "engine.inspection.inspector", "engine.system.lock_holders"),
        *("engine.domain.kept_page_map", "tui.presentation.page_map"),
    )
    assert _among((*not_needed, "zoneinfo", "hashlib", "difflib", "uuid"), imported) == []


def _among(names: Iterable[str], imported: Iterable[str]) -> list[str]:
    """The imported ones of these modules and packages."""
    return sorted(name for name in imported for wanted in names if f"{name}.".startswith(f"{wanted}."))


async def test_a_start_makes_the_header_and_the_footer_only_for_what_has_happened(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers, footers = list[int](), list[int]()

    def noted_header(state: TargetState | None, said: Span, width: int, *, read_only: bool) -> Line:
        headers.append(width)
        return header_line(state, said, width, read_only=read_only)

    def noted_footer(ids: Sequence[str], width: int, *, typing: bool) -> Line:
        footers.append(width)
        return footer_line(ids, width, typing=typing)

    monkeypatch.setattr(main, "header_line", noted_header)
    monkeypatch.setattr(console_screen, "footer_line", noted_footer)
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.until(lambda: console.lines("#detail"))
        await console.until(lambda: console.lines("#targets")[0].endswith(" unchecked"))
    # Layout, inspection, jobs, steps and advice: each makes the line once, and repaints a changed line once. On a busy
    # machine the inspection also shows how far it is.
    assert set(headers) == set(footers) == {80}
    assert len(headers) <= 20
    assert len(footers) <= 20


async def test_a_start_reads_the_steps_of_the_job_under_the_cursor_once(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, job = list[int](), Engine.job

    async def noted(self: Engine, parent_id: int) -> ParentJob:
        read.append(parent_id)
        return await job(self, parent_id)

    monkeypatch.setattr(Engine, "job", noted)
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.until(lambda: console.lines("#detail"))
        assert console.tree.job is not None
        assert read == [console.tree.job.parent]


async def test_a_start_says_nothing_of_the_jobs_before_they_are_read(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = list[str]()

    def noted(state: TargetState | None, jobs: Span, width: int, *, read_only: bool) -> Line:
        said.append(jobs[0])
        return header_line(state, jobs, width, read_only=read_only)

    monkeypatch.setattr(main, "header_line", noted)
    await seeded.store.submit([new_job("sales")], OnDuplicate.REFUSE)
    await seeded.store.claim(seeded.owner)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.until(lambda: "worker up, 1 running" in said)
    assert list(dict.fromkeys(said)) == ["reading jobs", "worker up, 1 running"]
