"""Advice about a whole server, once for several of its databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.domain.advice import Advice
from engine.domain.lazy_import import lazy
from engine.targets import database_named, resolve

if TYPE_CHECKING:
    from engine.targets.postgres.advising import old_neighbors
else:
    old_neighbors = lazy("engine.targets.postgres.advising.old_neighbors", "only an emergency needs it")


def neighbors_once(advised: Sequence[tuple[str, Sequence[Advice]]]) -> list[Sequence[Advice]]:
    """The advice on each target without neighbors that are targets themselves, or already named.

    `advised`: targets with their advice.
    """
    if not any(map(_neighbors, (one for _, advice in advised for one in advice))):
        return [advice for _, advice in advised]
    hosts = [resolve(target).host_key for target, _ in advised]
    known: dict[str, set[str]] = {}
    for (target, _), host in zip(advised, hosts, strict=True):
        if host is not None:
            known.setdefault(host, set()).add(database_named(target))
    reduced: list[Sequence[Advice]] = []
    for (_, advice), host in zip(advised, hosts, strict=True):
        reduced.append([_without(one, known[host]) for one in advice] if host is not None else advice)
        if host is not None:
            known[host].update(name for one in advice for name in _neighbors(one))
    return reduced


def _neighbors(item: Advice) -> Sequence[str]:
    return tuple(item.by_hand.neighbors) if item.by_hand is not None else ()


def _without(item: Advice, known: set[str]) -> Advice:
    found = item.by_hand
    if found is None or known.isdisjoint(found.neighbors):
        return item
    left = {name: allows for name, allows in found.neighbors.items() if name not in known}
    is_about_age = found.is_critical
    by_hand = (
        old_neighbors.by_hand(left) if is_about_age else old_neighbors.with_invalid(found.without_neighbors, [*left])
    )
    return replace(item, by_hand=by_hand)
