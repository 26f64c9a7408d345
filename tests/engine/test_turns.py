"""Steps that run at once get their turns so that none hinders another."""

from __future__ import annotations

import asyncio

from engine.targets.base import PlannedStep
from engine.turns import Turns


def step(conflict: str = "", *, last: bool = False, frees: bool = False) -> PlannedStep:
    return PlannedStep(
        object="o", command="c", reason="", lock="", conflict=conflict, completes_previous=last, frees_when_over=frees
    )


async def order(steps: list[PlannedStep], at_once: int) -> list[str]:
    """What began and ended, by number, where each step ends when nothing else can go on."""
    seen: list[str] = []
    turns = Turns(steps)

    async def some() -> None:
        async for number, _ in turns:
            seen.append(f"+{number}")
            for _ in range(20):
                await asyncio.sleep(0)
            seen.append(f"-{number}")

    await asyncio.gather(*(some() for _ in range(at_once)))
    return seen


async def test_one_at_a_time_is_in_order() -> None:
    assert await order([step(), step("a"), step("a"), step(last=True)], 1) == [
        *("+1", "-1", "+2", "-2"),
        *("+3", "-3", "+4", "-4"),
    ]


async def test_two_of_the_same_conflict_are_never_under_way() -> None:
    seen = await order([step("a"), step("a"), step("b"), step("a"), step("b")], 3)
    running: set[str] = set()
    conflicts = dict(zip("12345", "aabab", strict=True))
    for event in seen:
        if event[0] == "+":
            assert conflicts[event[1]] not in {conflicts[other] for other in running}
            running.add(event[1])
        else:
            running.remove(event[1])
    assert seen[:2] == ["+1", "+3"]
    assert sorted(event for event in seen if event[0] == "+") == ["+1", "+2", "+3", "+4", "+5"]


async def test_what_completes_those_before_waits_for_them_all() -> None:
    seen = await order([step(), step(), step(last=True), step()], 4)
    assert seen[:2] == ["+1", "+2"]
    assert seen.index("+3") > max(seen.index("-1"), seen.index("-2"))
    assert seen.index("+4") >= seen.index("+3")


async def test_one_that_is_to_be_repeated_comes_after_the_others_and_before_what_completes_it() -> None:
    turns, seen = Turns([step("a"), step(), step(last=True), step()]), list[int]()
    async for number, _ in turns:
        seen.append(number)
        if number == 1 and seen.count(1) < 3:
            turns.repeat(number)
    assert seen == [1, 2, 1, 1, 3, 4]


async def test_one_that_is_to_be_repeated_has_no_turn_while_somebody_holds_it() -> None:
    turns, seen, let_go = Turns([step("a"), step("a")]), list[int](), asyncio.Event()

    async def hold(number: int) -> None:
        with turns.holding(number):
            turns.repeat(number)
            await let_go.wait()

    async def some() -> None:
        async for number, _ in turns:
            seen.append(number)
            if len(seen) == 1:
                holding.append(asyncio.create_task(hold(number)))
                await asyncio.sleep(0)

    holding: list[asyncio.Task[None]] = []
    running = asyncio.create_task(some())
    for _ in range(20):
        await asyncio.sleep(0)
    assert seen == [1]
    let_go.set()
    await running
    assert seen == [1, 2, 1]


async def test_one_that_fails_lets_the_others_go_on() -> None:
    turns, seen = Turns([step("a"), step("a")]), []

    async def first() -> None:
        async for number, _ in turns:
            seen.append(number)
            raise ValueError

    async def second() -> None:
        async for number, _ in turns:
            seen.append(number)

    results = await asyncio.gather(first(), second(), return_exceptions=True)
    assert isinstance(results[0], ValueError)
    assert seen == [1, 2]


async def test_a_step_that_somebody_holds_is_not_over_though_the_next_has_begun() -> None:
    turns, let_go, holds, seen = Turns([step("a"), step("a"), step("b")]), asyncio.Event(), asyncio.Event(), list[int]()

    async def hold(number: int) -> None:
        with turns.holding(number):
            holds.set()
            await let_go.wait()

    async def some() -> None:
        async for number, _ in turns:
            seen.append(number)
            if number == 1:
                holding.append(asyncio.create_task(hold(number)))
                await holds.wait()

    holding: list[asyncio.Task[None]] = []
    running = asyncio.create_task(some())
    for _ in range(20):
        await asyncio.sleep(0)
    assert seen == [1, 3]
    let_go.set()
    await running
    assert seen == [1, 3, 2]


async def test_one_that_frees_when_over_is_in_nobodys_way_while_somebody_still_looks_at_what_it_did() -> None:
    turns, seen, let_go = Turns([step("a", frees=True), step("a"), step(last=True)]), list[int](), asyncio.Event()

    async def look(number: int) -> None:
        with turns.holding(number):
            await let_go.wait()

    def end_the_look() -> None:
        seen.append(0)
        let_go.set()

    async for number, _ in turns:
        seen.append(number)
        if number == 1:
            looking = asyncio.create_task(look(number))
            await asyncio.sleep(0)
        if number == 2:
            asyncio.get_running_loop().call_soon(end_the_look)
    await looking
    assert seen == [1, 2, 0, 3]
