from __future__ import annotations

from dataclasses import replace

import pytest

from engine import EngineName, Operation, OperationPlan, Plan
from tests.tui.plans import VACUUM
from tui.risk import blocks_everyone, is_production, risks, word_to_type


@pytest.mark.parametrize("label", ["PROD", "prod", "Production EU", "live", "the-live-one"])
def test_labels_that_say_production(label: str) -> None:
    assert is_production(label)


@pytest.mark.parametrize("label", [None, "", "dev", "reproduction", "delivery", "test"])
def test_labels_that_do_not(label: str | None) -> None:
    assert not is_production(label)


def plan(lock: str) -> Plan:
    operation = OperationPlan(operation=Operation.VACUUM, steps=(replace(VACUUM, lock=lock),))
    return Plan(target="sqlite:///sales.db", engine=EngineName.SQLITE, before={}, operations=(operation,))


def test_what_blocks_everyone_in_production_is_a_risk() -> None:
    assert risks(plan("blocks everyone"), "PROD") == ["PROD: vacuum blocks everyone meanwhile."]
    assert risks(plan("blocks everyone"), "dev") == []
    assert risks(plan("blocks writers"), "PROD") == []


def test_what_was_looked_at_says_whom_operations_block() -> None:
    locks = {Operation.VACUUM: "blocks everyone", Operation.REINDEX: "blocks everyone", Operation.CHECK: "nobody"}
    assert blocks_everyone(locks, "PROD") == "PROD: vacuum, reindex block everyone meanwhile."
    assert blocks_everyone(locks, "dev") == blocks_everyone({Operation.CHECK: "nobody"}, "PROD") == ""


def test_the_name_is_typed_and_of_several_the_label() -> None:
    assert word_to_type(["sales.db"], "PROD") == "sales.db"
    assert word_to_type(["a", "b"], "PROD") == "PROD"
    assert word_to_type(["a", "b"], None) == "2"
