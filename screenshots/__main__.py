"""Pictures of the real console on the sample database: `python -m screenshots`."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import fontpkg_source_code_pro
import resvg_py
from textual.pilot import Pilot
from textual.worker import WorkerCancelled

from engine import Engine, Options, Request, look
from engine.config import ConsoleConfig, TargetEntry
from engine.demo import build_demo_database
from tui.app import DbtendApp
from tui.theme import DBTEND
from tui.widgets.job_tree import JobTree

FONT = "Source Code Pro"
LARGE, SMALL = (120, 40), (80, 24)


class Camera:
    """Writes what a console shows as SVG, and as PNG in the font that a browser would load for it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def take(self, pilot: Pilot[None], name: str) -> None:
        await pilot.pause()
        svg = without_web_font(pilot.app.export_screenshot(title="dbtend"))
        (self._directory / f"{name}.svg").write_text(svg, encoding="utf-8")
        (self._directory / f"{name}.png").write_bytes(as_png(svg))


def without_web_font(svg: str) -> str:
    """The picture without the fonts it would fetch, in one that draws SQL as it is written: no ligatures."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("font-family: Fira Code, monospace;", f"font-family: '{FONT}', monospace;")


def as_png(svg: str) -> bytes:
    """Rendered with a font that comes as a Python package, so the same on every machine."""
    fonts = [str(path) for path in (fontpkg_source_code_pro.ROOT / "files").glob("*.ttf")]
    return bytes(
        resvg_py.svg_to_bytes(svg_string=svg, font_files=fonts, skip_system_fonts=True, monospace_family=FONT, zoom=1)
    )


async def photograph(directory: Path) -> None:
    """Run real jobs on three sample databases, and look at every screen."""
    with tempfile.TemporaryDirectory(prefix="dbtend-") as home:
        names = ("sales.db", "app.db", "archive.db")
        targets = [TargetEntry(name=name, url=str(Path(home, name)), lock_timeout=0.2) for name in names]
        for target in targets:
            build_demo_database(Path(target.url))
        make_larger(Path(targets[0].url))
        store = Path(home, "jobs.db")
        await run_earlier_jobs(store, targets[1:])
        async with Engine.open(store, workers=2) as engine:
            await visit_all(engine, targets, Camera(directory))


def make_larger(path: Path) -> None:
    """So large that a run takes some seconds."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        (columns,) = db.execute("SELECT group_concat(name) FROM pragma_table_info('events') WHERE NOT pk").fetchone()
        for _ in range(5):
            db.execute(f"INSERT INTO events({columns}) SELECT {columns} FROM events")
        db.execute("DELETE FROM events WHERE rowid % 3 = 0")


async def run_earlier_jobs(store: Path, targets: Sequence[TargetEntry]) -> None:
    """One job that completes, and one that fails because somebody has locked its database."""
    async with Engine.open(store) as engine:
        operations = look.default_operations(targets[0].url)
        requests = [
            Request(target=target.url, operations=operations, options=Options(lock_timeout=0.2)) for target in targets
        ]
        jobs = await engine.submit(requests)
        with closing(sqlite3.connect(targets[-1].url, isolation_level=None)) as db:
            db.execute("BEGIN EXCLUSIVE")
            async with Engine.open(store, workers=2) as working:
                await working.wait([job.id for job in jobs])


async def visit_all(engine: Engine, targets: Sequence[TargetEntry], camera: Camera) -> None:
    async with console(engine, targets, LARGE) as pilot:
        await press(pilot, "space", "down", "down", "space")  # vacuum and reindex, besides what is needed
        await press(pilot, "r")
        await camera.take(pilot, "plan")
        await pilot.press("enter")
        await until(pilot, lambda: any("reindex" in row and "%" in row for row in rows(pilot)))
        await camera.take(pilot, "running")
        await until(pilot, lambda: "completed" in rows(pilot)[0])
        await press(pilot, "g", "down")
        await camera.take(pilot, "main-120x40")
        await press(pilot, "enter")
        await camera.take(pilot, "job")
        await press(pilot, "escape", "h")
        await camera.take(pilot, "history")
        await press(pilot, "escape", "question_mark")
        await camera.take(pilot, "help")
    async with console(engine, targets, SMALL) as pilot:
        await press(pilot, "3", "z", "down", "down", "down", "down", "down", "z", "down")
        await camera.take(pilot, "main-80x24")


@asynccontextmanager
async def console(engine: Engine, targets: Sequence[TargetEntry], size: tuple[int, int]) -> AsyncIterator[Pilot[None]]:
    app = DbtendApp(engine, targets, ensure_worker=lambda: None, config=ConsoleConfig(theme=DBTEND.name))
    async with app.run_test(size=size) as pilot:
        await press(pilot)
        await until(pilot, lambda: rows(pilot))
        yield pilot


def rows(pilot: Pilot[None]) -> list[str]:
    tree = pilot.app.screen_stack[0].query_one(JobTree)
    return [tree.line_at(number).text for number in range(tree.line_count)]


async def press(pilot: Pilot[None], *keys: str) -> None:
    """Press keys, and wait for all that they began."""
    for key in keys:
        await pilot.press(key)
        await settle(pilot)
    await settle(pilot)


async def settle(pilot: Pilot[None]) -> None:
    while begun := [worker for worker in pilot.app.workers if worker.name != "feed" and not worker.is_finished]:
        # One that a newer one has made superfluous ends as cancelled.
        with suppress(WorkerCancelled):
            await pilot.app.workers.wait_for_complete(begun)
    await pilot.pause()


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await pilot.pause(0.02)


if __name__ == "__main__":
    album = Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots")
    album.mkdir(parents=True, exist_ok=True)
    asyncio.run(photograph(album))
