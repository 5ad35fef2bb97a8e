"""What a run found: medians, the budgets beside them, as JSON and as tables to read."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import msgspec

from benchmarks.compare import Row
from benchmarks.day import Day
from benchmarks.killing import Kills
from benchmarks.plan import Plan, Scenario
from benchmarks.proof import Proof
from benchmarks.rounds import Sample
from benchmarks.starting import Starts

# A piece that waited longer for accounts with room was held down by their limits.
_PACED_S = 0.1
METHOD = (
    "Each round runs every scenario: bare synced commits, direct calls, the same through the"
    " gateway. Figures are medians over the rounds of each round's percentile.",
    "Direct calls are the gateway's own requests to that broker, recorded on the way and sent"
    " again by the same client with new tags. Warm-up is dropped, everything else is kept.",
    "Overhead is gateway less direct of the same round, percentile by percentile; for three legs"
    " direct means all three at once. Over the slowest leg: order by order, latency less the"
    " largest timing.broker_ms of the answer.",
    "nginx: the direct requests by way of a plain reverse proxy, one worker on the gateway's core,"
    " connections kept open on both sides: what anything in between costs that does nothing.",
    "By the clock: orders begin at random moments, so many a second on average, whatever became of"
    " those before; latency counts from when one was due. The other scenarios are closed loops.",
    "Yardstick: milliseconds that a fixed piece of Python takes on the gateway's core just before,"
    " the best of five. The core of a virtual machine may be twice as fast at one moment as at"
    " another, and all that is computed with it.",
    "Production settings: every order is journalled and synced before it is sent and once more"
    " after its answer. Orders per second are the adapters' own and enough accounts take turns;"
    " brokers' windows by the minute and longer are off, the API's quota per key is raised.",
    "The day of orders comes first, on a gateway that has seen none, and without its books being"
    " emptied; afterwards they are, between scenarios.",
)


class Result(msgspec.Struct, kw_only=True):
    """A scenario with the median of each figure, and every round's.

    `quietest` is the round in which other programs took least.
    """

    scenario: Scenario
    median: Sample
    quietest: Sample
    overhead_p50: float
    overhead_p99: float
    floor_overhead_p50: float | None
    floor_overhead_p99: float | None
    ratio_p50: float
    ratio_p99: float
    rounds: list[Sample]


class Budget(msgspec.Struct, kw_only=True):
    """A budget of the design. `most`: the figure must not exceed it; otherwise not fall below."""

    what: str
    unit: str
    measured: float
    first: float
    then: float | None = None
    most: bool = True

    @property
    def verdict(self) -> str:
        if self.most:
            share = self.measured / self.first
            return "met" if share <= 1 else f"missed: {share:.2f} times the budget"
        share = self.measured / self.first
        return "met" if share >= 1 else f"missed: {share:.0%} of the budget"


class Report(msgspec.Struct, kw_only=True):
    """A whole run."""

    taken_at: str
    commit: str
    quick: bool
    machine: dict[str, str]
    pinning: str
    method: tuple[str, ...]
    plan: Plan
    proof: Proof
    results: list[Result]
    kills: Kills
    day: Day
    starts: Starts
    budgets: list[Budget] = []
    compared_with: str | None = None
    changes: list[Row] = []


def result_of(scenario: Scenario, rounds: list[Sample]) -> Result:
    def median(values: Iterable[float]) -> float:
        return round(statistics.median(values), 4)

    def median_if_any(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return median(known) if known else None

    def over_direct(name: str) -> float | None:
        return median_if_any(
            None
            if (floor := getattr(each, f"floor_{name}")) is None
            else floor - getattr(each, f"direct_{name}")
            for each in rounds
        )

    fields = Sample.__struct_fields__
    return Result(
        scenario=scenario,
        median=Sample(
            **{name: median_if_any(getattr(each, name) for each in rounds) for name in fields}  # type: ignore[arg-type]
        ),
        quietest=min(rounds, key=lambda each: each.foreign),
        overhead_p50=median(each.gateway_p50 - each.direct_p50 for each in rounds),
        overhead_p99=median(each.gateway_p99 - each.direct_p99 for each in rounds),
        floor_overhead_p50=over_direct("p50"),
        floor_overhead_p99=over_direct("p99"),
        ratio_p50=median(each.gateway_p50 / each.direct_p50 for each in rounds),
        ratio_p99=median(each.gateway_p99 / each.direct_p99 for each in rounds),
        rounds=rounds,
    )


def budgets_of(results: Sequence[Result], kills: Kills, day: Day, starts: Starts) -> list[Budget]:
    """Put the figures beside the budgets of design section 7 that are measured here."""
    budgets = []
    for result in results:
        scenario, median = result.scenario, result.median
        if scenario.concurrency > 1:
            if scenario.legs == 1 and scenario.concurrency == 8:
                budgets.append(
                    Budget(
                        what="sustained, concurrency 8",
                        unit="orders/s",
                        measured=median.orders_per_second,
                        first=250,
                        then=400,
                        most=False,
                    )
                )
        elif scenario.legs == 1:
            what = f"overhead, {scenario.name}"
            budgets += _pair(what, (result.overhead_p50, 3, 2), (result.overhead_p99, 10, 8))
        elif scenario.legs == 3:
            what = "over the slowest of 3 legs"
            budgets += _pair(what, (median.over_legs_p50, 6, 4), (median.over_legs_p99, 15, 12))
    what = "kill switch answered to last send"
    budgets.append(Budget(what=what, unit="ms", measured=max(kills.last_send_max, 0), first=50))
    rows = f"{sum(day.master_rows.values()):,} master rows"
    what = f"memory after {day.orders:,} orders, {rows}"
    budgets.append(
        Budget(what=what, unit="MB", measured=day.memory_after_orders, first=100, then=80)
    )
    what = "start to first answer, from a checkout"
    budgets.append(Budget(what=what, unit="s", measured=starts.full, first=1))
    return budgets


def _pair(
    what: str, p50: tuple[float, float, float], p99: tuple[float, float, float]
) -> list[Budget]:
    return [
        Budget(what=f"{what}, {name}", unit="ms", measured=measured, first=first, then=then)
        for name, (measured, first, then) in (("p50", p50), ("p99", p99))
    ]


def as_markdown(report: Report) -> str:
    """Write the report for people; in a terminal it reads just as well."""
    when = f"{report.taken_at}, commit {report.commit}"
    machine = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    kind = " (quick: shows that everything works, not how fast)" if report.quick else ""
    parts = [
        f"# Benchmark of {when}{kind}",
        f"{machine}; {report.pinning}.",
        table(_latency_rows(report.results)),
        "Milliseconds, p50 / p95 / p99; `x` is gateway divided by direct at p50 and p99. One"
        " synced commit: a bare one of the same minute; overhead in commits: overhead p50"
        " divided by its p50. CPU: the gateway's, background work included. Foreign: what other"
        " programs took of all cores.",
        table(_budget_rows(report.budgets)),
        _kill_words(report.kills),
        _day_words(report.day),
        _start_words(report.starts),
        _proof_words(report.proof),
        *_change_parts(report),
        "## Method",
        "\n".join(f"- {line}" for line in report.method),
        f"- {report.plan.rounds} rounds, {report.plan.sets} accounts per broker.",
    ]
    return "\n\n".join(parts) + "\n"


def _latency_rows(results: Sequence[Result]) -> list[list[str]]:
    head = [
        "orders", "at once", "direct", "nginx", "gateway", "x", "nginx's overhead p50 / p99",
        "overhead p50 / p99",
        "over slowest leg p50 / p99", "orders/s", "CPU ms/order", "one synced commit p50 / p99",
        "overhead in commits", "yardstick", "foreign", "quietest round: overhead p50 / p99",
    ]  # fmt: skip
    rows = [head]
    for result in results:
        median, quiet = result.median, result.quietest
        rows.append(
            [
                result.scenario.name,
                _at_once(result.scenario),
                _ms(median.direct_p50, median.direct_p95, median.direct_p99),
                _ms(median.floor_p50, median.floor_p95, median.floor_p99),
                _ms(median.gateway_p50, median.gateway_p95, median.gateway_p99),
                f"{result.ratio_p50:.1f} / {result.ratio_p99:.1f}",
                _ms(result.floor_overhead_p50, result.floor_overhead_p99),
                _ms(result.overhead_p50, result.overhead_p99),
                _ms(median.over_legs_p50, median.over_legs_p99),
                f"{median.orders_per_second:.0f}{_limited(median)}",
                f"{median.cpu_ms_per_order:.2f}",
                _ms(median.commit_p50, median.commit_p99),
                f"{result.overhead_p50 / median.commit_p50:.1f}",
                f"{median.yardstick_ms:.2f}",
                f"{median.foreign:.0%}",
                _ms(quiet.gateway_p50 - quiet.direct_p50, quiet.gateway_p99 - quiet.direct_p99)
                + f" ({quiet.foreign:.0%})",
            ]
        )
    return rows


def _at_once(scenario: Scenario) -> str:
    rate = f", {scenario.per_second:g}/s" if scenario.per_second else ""
    return f"{scenario.concurrency}{rate}"


def _limited(median: Sample) -> str:
    """Mark a throughput that the accounts' order limits held down, not the gateway."""
    return " (paced)" if median.waited_s > _PACED_S else ""


def _budget_rows(budgets: Sequence[Budget]) -> list[list[str]]:
    rows = [["budget (design section 7)", "measured", "first", "then", ""]]
    for budget in budgets:
        then = "" if budget.then is None else f"{budget.then:g}"
        measured = f"{budget.measured:.2f} {budget.unit}"
        rows.append([budget.what, measured, f"{budget.first:g}", then, budget.verdict])
    return rows


def _kill_words(kills: Kills) -> str:
    return (
        f"Kill switch, engaged {kills.times} times for everything while eight orders at once were"
        f" being placed: answered after {_ms(kills.engaged_p50, kills.engaged_max)} ms (median /"
        f" longest). The last order that a broker took came {kills.last_send_p50:.1f} ms after the"
        f" answer at the median, {kills.last_send_max:.1f} ms at most (below zero: before it);"
        f" {kills.on_the_wire} writes were listed as already on the wire."
    )


def _day_words(day: Day) -> str:
    rows = ", ".join(f"{broker} {count:,}" for broker, count in day.master_rows.items())
    return (
        f"Memory (PSS): {day.memory_masters_loaded:.1f} MB with masters loaded ({rows} rows),"
        f" {day.memory_after_orders:.1f} MB after {day.orders:,} more orders. They went at"
        f" {day.orders_per_second:.0f} orders/s, eight at a time, with books growing all the"
        f" while, and took {day.cpu_ms_per_order:.2f} ms of CPU each: p50 / p99"
        f" {_ms(day.first_p50, day.first_p99)} ms in the first tenth,"
        f" {_ms(day.last_p50, day.last_p99)} ms in the last"
        f" ({day.last_p50 / day.first_p50:.2f} times at p50)."
    )


def _start_words(starts: Starts) -> str:
    return (
        f"Start to first answer: {starts.empty:.2f} s with an empty data directory"
        f" ({starts.empty_cpu:.2f} s of CPU, {starts.empty / starts.bare:.0f} bare interpreter"
        f" starts), {starts.full:.2f} s with the day's journal, every account and its session"
        f" ({starts.full_cpu:.2f} s of CPU, {starts.full / starts.bare:.0f}); the bare"
        f" interpreter takes {starts.bare:.3f} s."
    )


def _proof_words(proof: Proof) -> str:
    return (
        f"Of {proof.orders:,} orders with {proof.legs:,} legs: {proof.not_accepted} not accepted,"
        f" {proof.lost} lost, {proof.doubled} doubled, {proof.unasked} that nobody asked for"
        " (answers against ledgers and journal)."
        + "".join(f" {count} legs: {why}." for why, count in proof.reasons.items())
    )


def _change_parts(report: Report) -> list[str]:
    if not report.changes:
        return []
    rows = [["figure", "before", "now", "now / before"]]
    for name, before, now, unit in report.changes:
        ratio = f"{now / before:.2f}" if before else "-"
        rows.append([name, f"{before:.2f} {unit}", f"{now:.2f} {unit}", ratio])
    heading = f"## Beside the report of {report.compared_with}"
    return [heading, table(rows)]


def _ms(*values: float | None) -> str:
    return " / ".join("-" if value is None else f"{value:.2f}" for value in values)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Write rows as a table, the first one as its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
