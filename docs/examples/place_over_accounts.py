"""Place one order over several accounts, so that a crash cannot make it two.

    place_over_accounts.py KEY_FILE INSTRUMENT SIDE QUANTITY PRICE ACCOUNT...

The idempotency key is written to KEY_FILE before anything is sent. Run again with the same file
and the same order, the program finds the order that exists. Remove the file to mean a new order.
"""

from __future__ import annotations

import os
import sys
import uuid
from decimal import Decimal
from pathlib import Path

from gateway.client import Client, FixRequest, LogIn, LookFirst, Order, RetryLater


def main() -> int:
    file, instrument, side, quantity, price, *accounts = sys.argv[1:]
    try:
        with Client.from_environment() as client:
            order = client.place(
                key=stored_key(Path(file)),
                instrument=instrument,
                side=side,
                order_type="LIMIT",
                product="CNC",
                quantity=int(quantity),
                price=Decimal(price),
                accounts=accounts,
                wait_for="book",
            )
    except LookFirst as error:
        print(f"It may be placed, in part or whole. Run this again, and do not order anew: {error}")
        return 3
    except LogIn as error:
        print(f"Nothing was placed. Log in first: {', '.join(error.accounts)}")
        return 2
    except RetryLater as error:
        print(f"Nothing was placed. Later it may work: {error}")
        return 2
    except FixRequest as error:
        print(f"Nothing was placed, and it will not be like this: {error}")
        return 1
    show(order)
    return 1 if order.failed else 0


def stored_key(file: Path) -> str:
    """Return the key in the file, or make one and have it on the disk before it is used."""
    if not file.exists():
        with file.open("x") as new:
            new.write(uuid.uuid4().hex)
            new.flush()
            os.fsync(new.fileno())
    return file.read_text().strip()


def show(order: Order) -> None:
    print(f"{order.order_id} {order.summary}")
    for leg in order.legs:
        reason = f"  {leg.reason.message} ({leg.next})" if leg.reason else ""
        print(f"  {leg.account:12} {leg.state:16} {leg.filled_quantity}/{leg.quantity}{reason}")


if __name__ == "__main__":
    sys.exit(main())
