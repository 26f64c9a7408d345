"""The console on a PostgreSQL database."""

from __future__ import annotations

from pathlib import Path

from engine import Status
from engine.config.model import TargetEntry
from engine.config.parser import parse_config
from tests.postgres_databases import Database
from tests.tui.console.harness import Clock, open_console


async def test_what_is_needed_is_chosen_and_run(database: Database, tmp_path: Path, clock: Clock) -> None:
    database("CREATE TABLE fresh AS SELECT generate_series(1, 100) AS a")
    database.wait_for("SELECT n_mod_since_analyze > 0 FROM pg_stat_user_tables")
    shop = TargetEntry(name="shop", url=database.url)
    async with open_console(tmp_path / "jobs.db", shop, clock=clock, size=(120, 40), workers=1) as console:
        await console.until(lambda: any("[x] optimize" in line for line in console.lines("#operations")))
        assert sum("[x]" in line for line in console.lines("#operations")) == 1
        assert f"postgresql {database.major}" in console.text("#header")
        await console.press("r")
        assert any('ANALYZE (VERBOSE) "public"."fresh"' in line for line in console.lines("#page"))
        await console.press("enter")
        await console.until(lambda: any("1 step done" in line for line in console.lines("#jobs")))


async def test_what_locks_everybody_out_is_asked_for_by_name(database: Database, tmp_path: Path, clock: Clock) -> None:
    database("CREATE TABLE item (id int)")
    shop = TargetEntry(name="shop", url=database.url)
    async with open_console(tmp_path / "jobs.db", shop, clock=clock, size=(120, 40), workers=1) as console:
        await console.until(lambda: any("vacuum-full" in line for line in console.lines("#operations")))
        await console.until(lambda: not any("Inspecting" in line for line in console.lines("#operations")))
        await console.press("2", "G", "k")
        while "[x] vacuum-full" not in "\n".join(console.lines("#operations")):
            await console.press("space")
            if "[x] vacuum-full" not in "\n".join(console.lines("#operations")):
                await console.press("space", "k")
        await console.press("r")
        await console.until(lambda: any("FULL" in line for line in console.lines("#page")))
        await console.press("enter")
        assert console.screen_name == "TypedConfirmScreen"
        await console.press("n", "o", "enter", "escape")
        assert console.screen_name == "PlanScreen"
        assert console.message == "Not run."
        await console.press("enter", *"shop", "enter")
        await console.until(lambda: any("1 table rewritten" in line for line in console.lines("#jobs")))
        await console.press("3", "t")
        assert console.screen_name == "TypedConfirmScreen"
        assert "vacuum-full blocks all access" in " ".join(console.lines("#text"))
        await console.press(*"shop", "enter")
        await console.engine.wait([2])
        again = await console.engine.job(2)
        assert (again.retry_of, again.status, again.request.options.confirmed) == (1, Status.COMPLETED, True)


async def test_what_the_config_file_says_of_a_server_is_in_the_plan_and_in_the_job(
    database: Database, tmp_path: Path, clock: Clock
) -> None:
    database("CREATE TABLE item (id int)", "INSERT INTO item VALUES (1)")
    text = f"""
[targets.shop]
url = "{database.url}"
operations = ["vacuum"]
schemas = ["public"]
speed = "gentle"
max_lag = "64MB"
on_step_failure = "stop"
"""
    (shop,) = parse_config(text, "f").targets
    async with open_console(tmp_path / "jobs.db", shop, clock=clock, size=(120, 40), workers=1) as console:
        await console.until(lambda: any("[x] vacuum" in line for line in console.lines("#operations")))
        await console.press("r")
        said = "lock timeout 5 s, stop at the first step that fails, schemas public, speed gentle, max lag 64MB"
        await console.until(lambda: any(said in line for line in console.lines("#page")))
        await console.press("enter")
        await console.until(lambda: any("1 table vacuumed" in line for line in console.lines("#jobs")))
        (job,) = await console.engine.history()
        assert job.request.options == shop.options
