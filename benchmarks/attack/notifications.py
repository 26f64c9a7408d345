"""People are told while the process that tells them is killed at random, and the receiver refuses or hangs at random.

Each failure must be in one message, and that must arrive; if it arrives again, then with the same key and content.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.attack.directories import attack_directory
from engine import Engine, Reason
from engine.config.model import Config
from engine.domain.notifications import Message, MessageText, Method, Recipient
from engine.domain.requests import OnDuplicate, Operation
from engine.notify import notifier
from engine.store.protocol import Failure
from engine.store.sqlite.store import SqliteStore
from tests.building import new_job
from tests.receivers import Post, WebServer, web_server

_LONGEST: Final = 120.0
"""Seconds until all must have arrived once nothing is killed any more."""


def attack(count: int, seed: int) -> Iterator[str]:
    """`count`: kills."""
    dice = random.Random(seed)
    with attack_directory() as directory, web_server() as web:
        store = Path(directory) / "jobs.db"
        asyncio.run(_register(store))
        jobs = list[int]()
        for _ in range(count):
            web.answers = [dice.choice([200, 200, 200, 500, 503, 302])]
            with _telling(store, web):
                jobs += asyncio.run(_fail(store, dice.randint(0, 3)))
                if dice.random() < 0.2:
                    web.hold.clear()
                time.sleep(dice.random() * 1.5)
            web.hold.set()
        web.answers = [200]
        with _telling(store, web):
            posts = _until_all_have_arrived(web, jobs)
        yield from _judged(posts, jobs)


async def _register(store: Path) -> None:
    async with SqliteStore.open(store) as opened:
        await opened.register_recipients(["ops"])


async def _fail(store: Path, number: int) -> list[int]:
    """Jobs that cannot begin."""
    async with SqliteStore.open(store) as opened:
        failure = Failure(Reason.UNREACHABLE, "it is not there")
        jobs = [new_job("gone", Operation.VACUUM, failure=failure) for _ in range(number)]
        return [(await opened.submit([job], OnDuplicate.MERGE))[0] for job in jobs]


class _telling:  # noqa: N801 - used as a function
    """A process that tells people, killed at the end."""

    def __init__(self, store: Path, web: WebServer) -> None:
        self._command = [sys.executable, "-m", "benchmarks.attack.notifications", str(store), web.url]

    def __enter__(self) -> None:
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def _until_all_have_arrived(web: WebServer, jobs: Sequence[int]) -> list[Post]:
    posts = list[Post]()
    give_up = time.monotonic() + _LONGEST
    while time.monotonic() < give_up:
        while not web.none_waits():
            posts.append(web.taken())
        if {event for post in posts if post.answer == 200 for event in post.json["jobs"]} >= set(jobs):
            break
        time.sleep(0.05)
    return posts


def _judged(posts: Sequence[Post], jobs: Sequence[int]) -> Iterator[str]:
    by_key: dict[str, list[int]] = {}
    for post in posts:
        told = by_key.setdefault(post.headers["Idempotency-Key"], post.json["jobs"])
        if told != post.json["jobs"]:
            yield f"a message changed: {told} became {post.json['jobs']}"
    arrived = {job for post in posts if post.answer == 200 for job in post.json["jobs"]}
    if lost := set(jobs) - arrived:
        yield f"never told: {sorted(lost)}"
    times = Counter(job for told in by_key.values() for job in told)
    if twice := [job for job, number in times.items() if number > 1]:
        yield f"in two messages: {twice}"


def _compose(message: Message) -> MessageText:
    return MessageText("s", "t", {"jobs": [event.job.parent for event in message.events if event.job]})


async def _tell(store: Path, url: str) -> None:
    """What the process does."""
    notifier.PAUSE, notifier.RETRY_AFTER = 0.02, (0.1,)
    ops = Recipient(name="ops", method=Method.WEBHOOK, webhook=url, settle=0.0, latest=0.0, timeout=5.0)
    async with Engine.open(store) as engine, engine.notifying(lambda: Config(notify=(ops,)), _compose):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_tell(Path(sys.argv[1]), sys.argv[2]))
