"""Makes the plan of `optimize`: the work that advice asks for."""

from __future__ import annotations

from dataclasses import replace

from engine.domain.advice import TargetHistory
from engine.domain.requests import Operation, Options
from engine.domain.turns import Turns
from engine.targets.mysql.advising.collect import collect_condition
