"""Two nights of a schedule on a server that goes down under one table, with a permanent worker and a recipient."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from engine import ChildJob, Engine, Operation
from engine.config.reader import load_config
from engine.domain.notifications import EventKind, Message, MessageText
from engine.domain.surveys import FleetLevel
from engine.notify.notifier import Notifier, notifying
from tests.engine.domain.test_due_times import at
from tests.engine.schedules.world import DAY, World, world_at
from tests.receivers import web_server

_NOON, _NIGHT = at("2026-11-27T12:00"), at("2026-11-27T22:00")


def _kinds(message: Message) -> MessageText:
    return MessageText("subject", "text", {"kinds": [event.kind for event in message.events]})


async def two_nights(root: Path, url: str, operations: str = '["check"]', more: str = "") -> list[ChildJob | None]:
    """The check of each night; None: there was none.

    After both the target is critical in the fleet, and one message says so.
    """
    children = []
    with web_server() as web:
        async with world_at(root, _NOON) as world:
            recipient = f'[notify.ops]\nwebhook = "{web.url}"\n'
            world.configure(
                f"{recipient}[schedules.nightly]\ntargets = [{json.dumps(url)}]\noperations = {operations}\n"
                f'{more}\nstart = "0 22 * * *"\ntimezone = "Europe/Berlin"\n'
            )
            config = load_config(world.config, required=True)
            telling, scheduler = Notifier(world.store, lambda: config, _kinds, world.clock), world.scheduler()
            await telling.collect()
            await world.look(scheduler)
            for night in range(2):
                world.clock.at = _NIGHT + night * DAY
                await world.look(scheduler)
                children.append(await _carried_out(world))
                await world.look(scheduler)
                (survey,) = (await world.store.surveys([url])).values()
                assert survey.level is FleetLevel.CRITICAL, (night, children, survey)
                await telling.collect()
            world.clock.at += DAY
            async with notifying(telling):
                kinds = (await asyncio.to_thread(web.taken)).json["kinds"]
    assert kinds.count(EventKind.CRITICAL) == 1, kinds
    return children


async def _carried_out(world: World) -> ChildJob | None:
    async with Engine.open(world.store.path, workers=1, clock=world.clock) as engine, asyncio.timeout(120):
        jobs = await engine.wait([job.id for job in await engine.open_jobs()])
    children = [child for job in jobs for child in job.children if child.operation is Operation.CHECK]
    return children[0] if children else None
