"""Pictures of the real console on the sample database, and on a MariaDB server: `python -m screenshots`."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fontpkg_source_code_pro
import resvg_py
from textual.pilot import Pilot
from textual.worker import WorkerCancelled

from engine import Engine, Operation, Options, Request
from engine.config.config_file import ConfigFile
from engine.config.model import ConsoleConfig, TargetEntry
from engine.config.reader import load_config
from engine.inspection.demo_database import SHOWN, build_demo_database
from engine.targets.mysql.connection.server import Flavor
from tests.mysql_server import running_server, servers_found
from tui.console.app import DbtendApp
from tui.console.saved_targets import SavedTargets
from tui.console.screens.confirm import ConfirmScreen
from tui.console.theme import DBTEND
from tui.console.widgets.job_tree import JobTree
from tui.workers.detached import DetachedWorker

FONT = "Source Code Pro"
LARGE, SMALL = (120, 40), (80, 24)


class Camera:
    """Keeps what a console shows: to draw it takes a second, and jobs go on meanwhile."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}

    async def take(self, pilot: Pilot[None], name: str) -> None:
        await pilot.pause()
        self._taken[name] = pilot.app.export_screenshot(title="dbtend")

    def develop(self, directory: Path) -> None:
        """Write all pictures as SVG, and as PNG in the font that a browser would load for it."""
        for name, taken in self._taken.items():
            svg = without_web_font(taken)
            (directory / f"{name}.svg").write_text(svg, encoding="utf-8")
            (directory / f"{name}.png").write_bytes(as_png(svg))


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
    """A DBA's evening on three sample databases: real jobs, and a look at every screen."""
    with tempfile.TemporaryDirectory(prefix="dbtend-") as home:
        sales, app, archive = (
            TargetEntry(name=name, url=str(Path(home, f"{name}.db")), label=label, settings={"lock_timeout": 0.2})
            for name, label in (("sales", "PROD"), ("app", None), ("archive", None))
        )
        for target in (sales, app, archive):
            build_demo_database(Path(target.url))
        make_larger(Path(sales.url))
        store = Path(home, "jobs.db")
        await grow_and_tend(store, app)
        await fail_on_a_lock(store, archive)
        camera, worker = Camera(), DetachedWorker(store, grace=0)
        async with Engine.open(store) as engine:
            try:
                await tell_the_story(engine, (sales, app, archive), camera, worker.ensure)
            finally:
                await asyncio.to_thread(worker.stop)
        await photograph_pages(Path(home), camera)
        await photograph_mariadb(Path(home), camera)
        await photograph_fleet(Path(home), camera)
        await photograph_night(Path(home), camera)
        camera.develop(directory)


async def photograph_pages(home: Path, camera: Camera) -> None:
    """The pages of a file before VACUUM, and the job that put them in order."""
    shop = TargetEntry(name="shop", url=str(home / "shop.db"))
    build_demo_database(Path(shop.url))
    async with (
        Engine.open(home / "shop-jobs.db", workers=1) as engine,
        console(engine, [shop], LARGE, lambda: None) as pilot,
    ):
        await press(pilot, "1", "M")
        await camera.take(pilot, "page-map")
        (job,) = await engine.submit([Request(target=shop.url, operations=(Operation.VACUUM,))])
        await engine.wait([job.id])
        await press(pilot, "escape", "3")
        await until(pilot, lambda: "completed" in rows(pilot)[0])
        await press(pilot, "enter")
        await camera.take(pilot, "page-map-of-a-job")


async def photograph_mariadb(home: Path, camera: Camera) -> None:
    """What a MariaDB database needs, and a rebuild that waits behind a transaction."""
    with (
        running_server(Flavor.MARIADB, servers_found()[Flavor.MARIADB]) as server,
        server.admin() as admin,
        server.admin() as other,
        admin.cursor() as sql,
        other.cursor() as application,
    ):
        sql.execute("INSTALL SONAME 'metadata_lock_info'")
        sql.execute("CREATE DATABASE shop")
        sql.execute("USE shop")
        for name, number in (("orders", 300_000), ("order_items", 120_000), ("customers", 40_000)):
            sql.execute(f"CREATE TABLE {name} (id INT PRIMARY KEY, day INT, note VARCHAR(200), KEY (day))")
            sql.execute(f"INSERT INTO {name} SELECT seq, seq % 365, REPEAT(MD5(seq), 5) FROM seq_1_to_{number}")
        sql.execute("CREATE TABLE sessions (id INT, data TEXT) ENGINE = MyISAM")
        sql.execute("DELETE FROM orders WHERE id % 20 > 1")
        sql.execute("ANALYZE TABLE orders")
        url = server.url("shop")
        target = TargetEntry(name="shop", url=url, settings={"lock_timeout": 60})
        worker = DetachedWorker(home / "mariadb-jobs.db", grace=0)
        async with Engine.open(home / "mariadb-jobs.db") as engine:
            try:
                async with console(engine, [target], LARGE, worker.ensure) as pilot:
                    await press(pilot, "colon", *"shop", "enter")
                    await camera.take(pilot, "mariadb-advice")
                    application.execute("USE shop")
                    application.execute("BEGIN")
                    application.execute("SELECT * FROM orders LIMIT 1")
                    await press(pilot, "r", "enter")
                    await until(pilot, lambda: any("connection" in row for row in rows(pilot)))
                    await camera.take(pilot, "mariadb-waiting")
                    application.execute("COMMIT")
            finally:
                await asyncio.to_thread(worker.stop)


def build_tenants(home: Path) -> list[TargetEntry]:
    """Some have much to give back, one is damaged, one is gone."""
    tenants = [TargetEntry(name=f"tenant-{n}", url=str(home / f"tenant-{n}.db"), groups=("eu",)) for n in range(1, 31)]
    for number, tenant in enumerate(tenants[:-1]):
        with closing(sqlite3.connect(tenant.url, isolation_level=None)) as db:
            db.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, note TEXT)")
            rows = 12_000 if number % 7 == 2 else 1_200
            db.execute("BEGIN")
            db.executemany("INSERT INTO orders(note) VALUES (?)", ((f"{n:05} " + "x" * 4000,) for n in range(rows)))
            db.execute("DELETE FROM orders WHERE id % 10 < ?", (number % 10,))
            db.execute("COMMIT")
    Path(tenants[16].url).write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    return tenants


async def photograph_fleet(home: Path, camera: Camera) -> None:
    """The tenants of a shop, the most urgent first."""
    tenants = build_tenants(home)
    async with (
        Engine.open(home / "fleet-jobs.db", workers=2) as engine,
        console(engine, tenants, LARGE, lambda: None) as pilot,
    ):
        requests = [Request(target=one.url, operations=(Operation.CHECK,)) for one in tenants[3:9]]
        await engine.wait([job.id for job in await engine.submit(requests)])
        await press(pilot, "x")
        await press(pilot, "down", "down", "space", "space")
        await camera.take(pilot, "fleet")


NIGHTLY = """
[defaults]
workers = 1

[targets.tenants]
url = "{home}/night/tenant-*.db"

[schedules.nightly]
targets = ["tenants"]
operations = ["reindex", "vacuum", "analyze"]
start = "{begin:%-M %-H} * * *"
timezone = "UTC"
until = "{end:%H:%M}"
max_failures = 3
"""


async def photograph_night(home: Path, camera: Camera) -> None:
    """Two nights of one minute on 40 databases, which is too short: the second as it went, and the next as planned."""
    tenants = await asyncio.to_thread(build_tenants_of_a_night, home / "night")
    file = home / "config.toml"
    async with Engine.open(home / "nights.db", workers=1, config=file) as engine:
        for _ in range(2):
            await asyncio.sleep(60 - time.time() % 60)
            begin = datetime.now(UTC)
            file.write_text(NIGHTLY.format(home=home, begin=begin, end=begin + timedelta(minutes=1)))
            config = load_config(file, required=True)
            _, jobs = await engine.fire_as_due(config.schedules[0], config, file)
            await engine.wait([job.id for job in jobs])
        saved = SavedTargets(ConfigFile(file), config)
        async with console(engine, tenants, LARGE, lambda: None, saved=saved) as pilot:
            await press(pilot, "S")
            await camera.take(pilot, "night")
            await press(pilot, "p")
            await camera.take(pilot, "night-planned")


def build_tenants_of_a_night(directory: Path) -> list[TargetEntry]:
    """Small ones of many short rows: all of them take longer than a minute."""
    directory.mkdir()
    first = directory / "tenant-01.db"
    with closing(sqlite3.connect(first, isolation_level=None)) as db:
        db.execute("CREATE TABLE bookings(id INTEGER PRIMARY KEY, day, amount)")
        numbers = "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 400000)"
        db.execute(f"INSERT INTO bookings(day, amount) {numbers} SELECT n * 7919 % 100003, n * 104729 % 400009 FROM r")
        for columns in ("day", "amount", "day, amount", "amount, day", "amount, id"):
            db.execute(f"CREATE INDEX by_{columns.replace(', ', '_')} ON bookings({columns})")
    paths = [first, *(directory / f"tenant-{number:02}.db" for number in range(2, 41))]
    for path in paths[1:]:
        shutil.copyfile(first, path)
    return [TargetEntry(name=path.stem, url=str(path)) for path in paths]


def make_larger(path: Path) -> None:
    """So large that a run takes some seconds."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for _ in range(5):
            insert_events_again(db)
        db.execute("DELETE FROM events WHERE rowid % 100000 < 36000")


def insert_events_again(db: sqlite3.Connection, limit: int = -1) -> None:
    (columns,) = db.execute("SELECT group_concat(name) FROM pragma_table_info('events') WHERE NOT pk").fetchone()
    db.execute(f"INSERT INTO events({columns}) SELECT {columns} FROM events LIMIT {limit}")


async def grow_and_tend(store: Path, target: TargetEntry) -> None:
    """Run after run while the database grows: what a trend is made of."""
    async with Engine.open(store, workers=1) as engine:
        for _ in range(14):
            with closing(sqlite3.connect(target.url, isolation_level=None)) as db:
                insert_events_again(db, 12_000)
            (job,) = await engine.submit([Request(target=target.url, operations=(Operation.VACUUM, Operation.ANALYZE))])
            await engine.wait([job.id])


async def fail_on_a_lock(store: Path, target: TargetEntry) -> None:
    """A job that fails, because somebody has locked its database."""
    async with Engine.open(store) as engine:
        operations = SHOWN
        asked = Request(target=target.url, operations=operations, options=Options(lock_timeout=0.2))
        (job,) = await engine.submit([asked])
        with closing(sqlite3.connect(target.url, isolation_level=None)) as db:
            db.execute("BEGIN EXCLUSIVE")
            async with Engine.open(store, workers=2) as working:
                await working.wait([job.id])


async def tell_the_story(
    engine: Engine, targets: Sequence[TargetEntry], camera: Camera, ensure_worker: Callable[[], None]
) -> None:
    async with console(engine, targets, LARGE, ensure_worker) as pilot:
        await press(pilot, "colon", *"sales", "enter")
        await camera.take(pilot, "advice")
        await press(pilot, "2", "home", "down", "down", "space")  # reindex, besides what is needed
        await press(pilot, "r")
        await camera.take(pilot, "plan")
        await pilot.press("enter")
        await settle(pilot)
        await camera.take(pilot, "confirm")
        await press(pilot, *"sales", "enter")
        await until(pilot, lambda: any("reindex" in row and "%" in row for row in rows(pilot)))
        await camera.take(pilot, "running")
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
        await camera.take(pilot, "cancel")
        await press(pilot, "y")
        await until(pilot, lambda: "cancelled" in rows(pilot)[0])
        await press(pilot, "g", "l")
        await camera.take(pilot, "main-120x40")
        await press(pilot, "colon", *"re")
        await camera.take(pilot, "commands")
        await press(pilot, "escape", "h", "down", "enter")
        await camera.take(pilot, "failure")
        await press(pilot, "escape", "slash", *"target:app op:vacuum", "enter")
        await camera.take(pilot, "history")
        await press(pilot, "enter", "G")
        await camera.take(pilot, "trend")
        await press(pilot, "escape", "question_mark")
        await camera.take(pilot, "help")
    async with console(engine, targets, SMALL, ensure_worker) as pilot:
        await press(pilot, "colon", *"sales", "enter", "3", "l", "down")
        await camera.take(pilot, "main-80x24")


@asynccontextmanager
async def console(
    engine: Engine,
    targets: Sequence[TargetEntry],
    size: tuple[int, int],
    ensure_worker: Callable[[], None],
    *,
    saved: SavedTargets | None = None,
) -> AsyncIterator[Pilot[None]]:
    config = ConsoleConfig(theme=DBTEND.name)
    app = DbtendApp(engine, targets, ensure_worker=ensure_worker, saved=saved, config=config)
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
    while not condition():
        await pilot.pause(0.02)


if __name__ == "__main__":
    album = Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots")
    album.mkdir(parents=True, exist_ok=True)
    asyncio.run(photograph(album))
