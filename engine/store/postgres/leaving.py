"""The end of a process whose jobs others may run by now."""

from __future__ import annotations

import logging
import os

from engine.domain.events import CUT_OFF

log = logging.getLogger("dbtend")


def leave(why: str) -> None:
    """End this process at once: what it ran may be run by another."""
    log.error("%s: this process ends, as others may take over what it ran", why)
    os._exit(CUT_OFF)
