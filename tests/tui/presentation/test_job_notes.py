"""What to do about how a job ended."""

from __future__ import annotations

from dataclasses import replace

from engine import Operation, Reason, Status, Step
from engine.domain.steps import WAITED_FOR, WaitsFor
from tests.tui.jobs import START, child
from tui.presentation.job_notes import Instructions, advice, advice_to_open

HOW = Instructions(retry="press r", show="press enter", skip_recovery="press s", force="press f")


def test_the_option_is_named_that_limits_what_it_waited_for() -> None:
    for effect, option in ({WAITED_FOR: WaitsFor.TRANSACTIONS}, "--snapshot-wait"), (None, "--lock-timeout"):
        step = Step(
            number=1, attempt=1, object="item_name", command="REINDEX", status=Status.FAILED, started_at=START,
            finished_at=START, operation=Operation.REINDEX, reason=Reason.TARGET_BUSY, effect=effect,
        )  # fmt: skip
        busy = replace(child(1, Status.FAILED), reason=Reason.TARGET_BUSY, attempt=1, steps=(step,))
        for text in (advice(busy, HOW), advice_to_open(busy, HOW)):
            assert [name for name in ("--snapshot-wait", "--lock-timeout") if name in text] == [option]


def test_a_refused_operation_says_that_itself_changed_nothing_and_not_the_others() -> None:
    refused = replace(child(1, Status.FAILED), reason=Reason.REFUSED, operation=Operation.CHECK)
    for text in (advice(refused, HOW), advice_to_open(refused, HOW)):
        assert text.startswith("Nothing was changed by check. ")
