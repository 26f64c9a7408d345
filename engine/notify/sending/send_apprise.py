"""Delivery by apprise, to each of its services for itself: what one has taken is not sent to it again."""

from __future__ import annotations

import apprise

from engine.notify.sending.order import DeliveryError, Order, Result


def send(order: Order) -> Result:
    """Raises DeliveryError."""
    lines = [line.strip() for line in (order.secret("apprise") or "").splitlines()]
    urls = [line for line in lines if line and not line.startswith("#")]
    if not urls:
        raise DeliveryError(f"{order.waits_for} names no service", order.done)
    done, failed = set(order.done), []
    for position, url in enumerate(urls):
        if position in done:
            continue
        service = apprise.Apprise()
        order.waits_for = name = f"service {position + 1} ({url.partition(':')[0]})"
        if not service.add(url):
            failed.append(f"{name} is not known to apprise, or its URL is wrong")
        elif service.notify(body=order.text, title=order.subject, body_format=apprise.NotifyFormat.TEXT):
            done.add(position)
            order.done = tuple(sorted(done))
        else:
            failed.append(f"{name} did not take it")
    if failed:
        raise DeliveryError("; ".join(failed), order.done)
    return Result(done=order.done)
