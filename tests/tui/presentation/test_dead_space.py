"""The table of where the most space can be won."""

from __future__ import annotations

from engine.domain.advice import DeadSpace
from tui.presentation.dead_space import dead_space_rows


def test_columns_stand_below_each_other_and_names_are_harmless() -> None:
    found = [DeadSpace("public.large", 12 * 10**9, 20 * 10**9), DeadSpace("public.sm\x1ball", 500_000, 10**6)]
    assert dead_space_rows(found) == ["12.0 GB of 20.0 GB  public.large", " 500 kB of 1.00 MB  public.sm\\x1ball"]


def test_a_single_one_is_in_the_reason_already() -> None:
    assert dead_space_rows([DeadSpace("public.large", 10**9, 10**9)]) == []


def test_in_a_narrow_place_both_ends_of_long_names_stay() -> None:
    found = [DeadSpace("public.orders_customer_id_created_at_idx", 6 * 10**9, 9 * 10**9), DeadSpace("public.t", 1, 2)]
    assert dead_space_rows(found, 27) == ["6.00 GB  public…ated_at_idx", "    1 B  public.t"]
    assert dead_space_rows(found, 60) == dead_space_rows(found)
