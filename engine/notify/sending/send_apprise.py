"""Delivery by apprise, to each of its services for itself: what one has taken is not sent to it again."""

from __future__ import annotations

import hashlib
from typing import Final

import apprise

from engine.notify.sending.order import DeliveryError, Order, Result

_ROUNDS: Final = 100_000


def send(order: Order) -> Result:
    """Raises DeliveryError."""
    lines = [line.strip() for line in (order.secret("apprise") or "").splitlines()]
    urls = [line for line in lines if line and not line.startswith("#")]
    if not urls:
        raise DeliveryError(f"{order.waits_for} names no service")
    failed = []
    for position, url in enumerate(dict.fromkeys(urls)):
        if (digest := _digest(url, order.key)) in order.done:
            continue
        service = apprise.Apprise()
        order.waits_for = name = f"service {position + 1} ({url.partition(':')[0]})"
        if not service.add(url):
            failed.append(f"{name} is not known to apprise, or its URL is wrong")
        elif service.notify(body=order.text, title=order.subject, body_format=apprise.NotifyFormat.TEXT):
            order.tell_done(digest)
        else:
            failed.append(f"{name} did not take it")
    if failed:
        raise DeliveryError("; ".join(failed))
    return Result()


def _digest(url: str, message: str) -> str:
    """Names a service in the store, also after its line has moved. Costly, as a password in the URL may be weak."""
    return hashlib.pbkdf2_hmac("sha256", url.encode(), message.encode(), _ROUNDS, 16).hex()
