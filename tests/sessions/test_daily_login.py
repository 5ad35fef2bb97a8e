"""The login of the day: begun once where nobody is needed, told of where somebody is."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import msgspec
import pytest

from gateway.orders.times import IST
from gateway.sessions import LoginPlan, SessionKeeper
from tests.gateway.rig import Rig
from tests.sessions.test_lifecycle import events, names, seal, state

TODAY = datetime.now(IST).date()
ACCOUNT = "mstock-main"


def at(hour: int, minute: int = 0, day: date = TODAY) -> datetime:
    return datetime.combine(day, time(hour, minute), IST)


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now.astimezone(UTC)


def keeper_of(rig, clock: Clock, *, trades: bool = True) -> SessionKeeper:
    """A keeper of the rig's sessions whose day is the test's."""

    def plan_of(account: str) -> LoginPlan:
        plan = rig.gateway.sessions._plan_of(account)
        return msgspec.structs.replace(plan, login_at=time(8, 35))

    sessions, accounts = rig.gateway.sessions, rig.gateway.accounts
    return SessionKeeper(sessions, accounts, plan_of, lambda _: trades, clock=clock)


def rig_of(tmp_path, kind: str, **more) -> Rig:
    return Rig(
        tmp_path / "data",
        brokers=("mstock",),
        options={"login": kind},
        account_settings={"login": kind},
        log_in=False,
        **more,
    )


@pytest.fixture
async def totp(tmp_path):
    async with rig_of(tmp_path, "totp") as rig:
        await seal(rig, "mstock")
        yield rig


async def test_a_sealed_totp_seed_logs_in_at_the_time_of_day(totp):
    clock = Clock(at(8, 34))
    keeper = keeper_of(totp, clock)
    await keeper.tick()
    assert await state(totp, ACCOUNT) == "missing"

    clock.now = at(8, 35)
    await keeper.tick()

    assert await state(totp, ACCOUNT) in ("active", "expiring")
    assert ["login_of_day", "login_begun", "logged_in"] == (await names(totp, ACCOUNT))[:3]
    begun = (await events(totp, ACCOUNT))[1]
    assert {"client": "login_at"} == begun["actor"]


async def test_it_is_tried_once_a_day_whatever_becomes_of_it(totp):
    await seal(totp, "mstock", password="wrong-password")
    clock = Clock(at(9))
    keeper = keeper_of(totp, clock)
    for minute in range(5):
        clock.now = at(9, minute)
        await keeper.tick()
    assert 1 == (await names(totp, ACCOUNT)).count("login_begun")

    # A restart is no new day.
    await totp.restart_gateway()
    keeper = keeper_of(totp, clock)
    await keeper.tick()
    assert 1 == (await names(totp, ACCOUNT)).count("login_begun")

    clock.now = at(9, day=TODAY + timedelta(days=1))
    await keeper.tick()
    assert 2 == (await names(totp, ACCOUNT)).count("login_begun")


async def test_a_blocked_account_is_told_of_and_not_tried(totp):
    await seal(totp, "mstock", password="wrong-password")
    for _ in range(3):
        await totp.call("POST", f"/v1/sessions/{ACCOUNT}/login", {})
    before = (await names(totp, ACCOUNT)).count("login_begun")

    await keeper_of(totp, Clock(at(9))).tick()

    told = await names(totp, ACCOUNT)
    assert before == told.count("login_begun")
    assert "login_due" == told[-1]


async def test_where_a_person_is_needed_he_is_told_once(tmp_path):
    async with rig_of(tmp_path, "otp") as rig:
        await seal(rig, "mstock")
        keeper = keeper_of(rig, Clock(at(9)))
        for _ in range(3):
            await keeper.tick()

        [told] = await events(rig, ACCOUNT)
        assert "login_due" == told["event"]
        assert f"brokergate login {ACCOUNT}" in told["text"]
        assert await state(rig, ACCOUNT) == "missing"


async def test_a_seed_that_is_not_sealed_needs_a_person(tmp_path):
    async with rig_of(tmp_path, "totp") as rig:
        fields = {k: v for k, v in rig.sims["mstock"].credentials.items() if k != "totp_secret"}
        await rig.call("PUT", f"/v1/accounts/{ACCOUNT}/credentials", {"fields": fields})
        await keeper_of(rig, Clock(at(9))).tick()

        assert ["login_due"] == await names(rig, ACCOUNT)


@pytest.mark.parametrize(
    ("hour", "trades"), [(9, False), (15, True), (18, True)], ids=["holiday", "close", "evening"]
)
async def test_nothing_is_begun_when_nothing_trades(totp, hour, trades):
    clock = Clock(at(hour, 30) if hour == 15 else at(hour))
    await keeper_of(totp, clock, trades=trades).tick()

    assert [] == await names(totp, ACCOUNT)


async def test_a_session_that_lasts_is_left_alone(totp):
    await totp.call("POST", f"/v1/sessions/{ACCOUNT}/login", {})
    account = totp.gateway.accounts[ACCOUNT]
    ends = at(23, day=TODAY + timedelta(days=1))
    account.session = msgspec.structs.replace(account.session, expires_at=ends)
    before = await names(totp, ACCOUNT)

    await keeper_of(totp, Clock(at(9))).tick()

    assert before == await names(totp, ACCOUNT)


def test_only_what_the_owner_stored_makes_a_login_that_needs_nobody() -> None:
    seed = {"totp_secret": "x"}
    assert LoginPlan(kind="totp").needs_nobody(seed)
    assert not LoginPlan(kind="totp").needs_nobody({})
    assert not LoginPlan(kind="otp").needs_nobody(seed)
    assert not LoginPlan(kind="redirect").needs_nobody(seed)
    assert LoginPlan(kind="none").needs_nobody({})


async def test_the_setting_reaches_the_keeper(tmp_path):
    settings = {"login_at": "08:35", "login": "totp"}
    async with Rig(
        tmp_path / "data",
        brokers=("mstock",),
        options={"login": "totp"},
        account_settings=settings,
        settings={"session": {"warn_ahead": ["2h"], "most_refused": 1}},
        log_in=False,
    ) as rig:
        assert time(8, 35) == rig.gateway.session_keeper._plan_of(ACCOUNT).login_at
        await seal(rig, "mstock", password="wrong-password")
        await rig.call("POST", f"/v1/sessions/{ACCOUNT}/login", {})
        assert await state(rig, ACCOUNT) == "blocked"
        assert (timedelta(hours=2),) == rig.gateway.sessions._rules.warn_ahead
