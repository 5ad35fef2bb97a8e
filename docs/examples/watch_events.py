"""Print what happens at the gateway, from where this program stopped the last time.

    watch_events.py PLACE_FILE [TYPE...]        types: order session kill breaker alarm

The number of each event is stored once it was dealt with. Breaks of the connection and restarts
of the gateway are waited out; nothing is missed, and nothing is told twice but for the event in
hand when this program itself was killed.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from gateway.client import Client, Event


def main() -> None:
    file, *types = sys.argv[1:]
    place = Path(file)
    after = int(place.read_text()) if place.exists() else None
    with (
        Client.from_environment() as client,
        contextlib.closing(client.events(after=after, types=types or None)) as events,
    ):
        for event in events:
            print(words(event), flush=True)
            place.write_text(str(event.seq))


def words(event: Event) -> str:
    if event.leg is not None:
        leg = event.leg
        what = f"{event.body['to']} {leg.filled_quantity}/{leg.quantity} {event.order_id}"
    else:
        known = ("event", "scope", "target", "level", "state", "text", "reason")
        what = " ".join(str(event.body[name]) for name in known if event.body.get(name))
    return f"{event.seq} {event.at} {event.type} {event.account or '-'} {what}"


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
