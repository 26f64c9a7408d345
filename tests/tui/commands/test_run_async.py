"""Commands run coroutines."""

from __future__ import annotations

from tui.commands.run_async import run_async


class Large:
    """The text of a plan of many steps takes seconds to make."""

    def __repr__(self) -> str:
        raise AssertionError("nobody reads this text")


def test_no_text_is_made_of_the_result() -> None:
    async def made() -> Large:
        return Large()

    assert isinstance(run_async(made()), Large)
