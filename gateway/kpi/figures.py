"""The figures that `brokergate kpi` prints, from what the journal and the minutes say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from gateway.kpi.journal import JournalFigures
from gateway.kpi.minutes import Condition, Minute


class Overhead(msgspec.Struct, kw_only=True):
    """Milliseconds from taking an order to its leg's answer, less the broker's share.

    Of legs that were sent once. Waits for a rate limit are in it, the last sync is not.
    """

    legs: int
    p50: float
    p95: float
    p99: float
    max: float


class Success(msgspec.Struct, kw_only=True):
    """`share`: accepted, of those that a gateway can make succeed.

    These are `accepted lapsed absent unproven`. Refusals of brokers, of prechecks and stops, what
    its client took back and what an operator settled are told beside it.
    """

    share: float | None
    accepted: int
    lapsed: int
    absent: int
    unproven: int
    rejected: int
    rejected_later: int
    denied: int
    cancelled: int
    operator: int


class Faults(msgspec.Struct, kw_only=True):
    """Legs that met a fault which may pass, and those whose fate was proven with nobody's help."""

    share: float | None
    legs: int
    recovered: int


class Duplicates(msgspec.Struct, kw_only=True):
    """`made`: orders that were in the market twice. The others would have been.

    `repeats`: requests answered with the order that their key had made. `found`: orders whose
    answer was lost and that were found at the broker instead of being sent again.
    """

    made: int
    repeats: int
    found: int


class KillSwitchUse(msgspec.Struct, kw_only=True):
    """`KILL_FILE` counts the times that the file appeared."""

    activations: int
    by_level: dict[str, int]


class Uptime(msgspec.Struct, kw_only=True):
    """Seconds. `share`: up, of the time in which only the gateway could have stood in the way.

    That is `up recovering stopped`. What the broker, the owner or a safety net stood in the way
    of is counted apart, so is `outages`: how often a breaker opened.
    """

    account: str | None
    broker: str
    share: float | None
    up_s: float
    recovering_s: float
    stopped_s: float
    broker_outage_s: float
    logged_out_s: float
    held_s: float
    outages: int


class Memory(msgspec.Struct, kw_only=True):
    """Resident bytes: now (null when the gateway does not run), and the most of the window."""

    now: int | None
    most: int | None


class Kpis(msgspec.Struct, kw_only=True):
    """`watched_from`: uptime and memory are known from then on. Shares are from 0 to 1.

    A share, or all of `overhead_ms`, is null where nothing happened that it could be of.
    """

    from_: datetime = msgspec.field(name="from")
    to: datetime
    watched_from: datetime | None
    orders: int
    legs: int
    overhead_ms: Overhead | None
    success: Success
    transient_faults: Faults
    duplicates: Duplicates
    kill_switch: KillSwitchUse
    adapters: list[Uptime]
    accounts: list[Uptime]
    memory: Memory
    event_loop_lag_ms: float | None


def overhead_of(milliseconds: Sequence[float]) -> Overhead | None:
    if not milliseconds:
        return None
    values = sorted(milliseconds)

    def percentile(share: float) -> float:
        return round(values[max(math.ceil(share * len(values)) - 1, 0)], 3)

    return Overhead(
        legs=len(values),
        p50=percentile(0.5),
        p95=percentile(0.95),
        p99=percentile(0.99),
        max=percentile(1.0),
    )


def of_journal(seen: JournalFigures, minutes: Sequence[Minute]) -> dict[str, Any]:
    """The members of `Kpis` that tell of orders."""
    ends, unproven = seen.ends, len(seen.unproven)
    could = ends["accepted"] + ends["lapsed"] + ends["absent"] + unproven
    return {
        "orders": seen.orders,
        "legs": seen.legs,
        "overhead_ms": overhead_of(seen.overhead_ms),
        "success": Success(
            share=_share(ends["accepted"], could),
            accepted=ends["accepted"],
            lapsed=ends["lapsed"],
            absent=ends["absent"],
            unproven=unproven,
            rejected=ends["rejected"],
            rejected_later=seen.rejected_later,
            denied=ends["denied"],
            cancelled=ends["cancelled"],
            operator=ends["operator"],
        ),
        "transient_faults": Faults(
            share=_share(seen.recovered, seen.met), legs=seen.met, recovered=seen.recovered
        ),
        "duplicates": Duplicates(
            made=seen.duplicates,
            repeats=sum(minute.repeats for minute in minutes),
            found=seen.found,
        ),
        "kill_switch": KillSwitchUse(
            activations=seen.engaged.total(), by_level=dict(sorted(seen.engaged.items()))
        ),
    }


def uptimes(
    minutes: Sequence[Minute],
    brokers: Mapping[str, str],
    outages: Mapping[str, int],
    watched: tuple[int, int],
) -> list[Uptime]:
    """Add up each account's time; `brokers` gives each account's, `watched` is begin and end.

    What of that time no minute speaks of, the gateway did not run.
    """
    ran = sum(minute.seconds for minute in minutes)
    stopped = max((watched[1] - watched[0]) / 1_000_000 - ran, 0.0) if minutes else 0.0
    found = []
    for account, broker in brokers.items():
        spent = dict.fromkeys(Condition, 0.0)
        for minute in minutes:
            for condition, seconds in minute.accounts.get(account, {}).items():
                spent[condition] += seconds
        found.append(_uptime(account, broker, spent, stopped, outages.get(account, 0)))
    return found


def by_adapter(accounts: Sequence[Uptime]) -> list[Uptime]:
    """Add the accounts of each broker up; a broker's outages are those of all its accounts."""
    found = []
    for broker in sorted({each.broker for each in accounts}):
        own = [each for each in accounts if each.broker == broker]
        spent = {
            Condition.UP: sum(each.up_s for each in own),
            Condition.RECOVERING: sum(each.recovering_s for each in own),
            Condition.OUTAGE: sum(each.broker_outage_s for each in own),
            Condition.LOGGED_OUT: sum(each.logged_out_s for each in own),
            Condition.HELD: sum(each.held_s for each in own),
        }
        stopped, outages = sum(each.stopped_s for each in own), sum(each.outages for each in own)
        found.append(_uptime(None, broker, spent, stopped, outages))
    return found


def watched_from(first_us: int | None, from_us: int, to_us: int) -> int | None:
    """When the minutes of a window begin, None when there are none."""
    if first_us is None or first_us >= to_us:
        return None
    return max(first_us, from_us)


def _uptime(
    account: str | None,
    broker: str,
    spent: Mapping[Condition, float],
    stopped: float,
    outages: int,
) -> Uptime:
    ours = spent[Condition.UP] + spent[Condition.RECOVERING] + stopped
    return Uptime(
        account=account,
        broker=broker,
        share=_share(spent[Condition.UP], ours),
        up_s=round(spent[Condition.UP], 1),
        recovering_s=round(spent[Condition.RECOVERING], 1),
        stopped_s=round(stopped, 1),
        broker_outage_s=round(spent[Condition.OUTAGE], 1),
        logged_out_s=round(spent[Condition.LOGGED_OUT], 1),
        held_s=round(spent[Condition.HELD], 1),
        outages=outages,
    )


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 6) if whole else None
