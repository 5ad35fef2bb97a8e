"""The gateway put together: store, accounts, sessions, instruments, orders, API. No HTTP server."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from blacksheep import Application

from adapters.sdk.interface import AdapterPlugin
from adapters.sdk.models import Exchange
from gateway.accounts import make_account, policy_of
from gateway.alerts.desk import AlertDesk
from gateway.alerts.receivers import make_receivers, vault_account
from gateway.alerts.watch import Watch
from gateway.api.app import build_app
from gateway.api.auth import Keys
from gateway.api.cancel import CancelRoutes
from gateway.api.ratelimit import KeyLimits, KeyRates
from gateway.api.routing import Route
from gateway.audit import AuditKeeper
from gateway.books.desk import BookDesk
from gateway.books.keeper import SnapshotKeeper
from gateway.books.reader import BookReader
from gateway.calendar.owner import CalendarFile
from gateway.calls.journal import BreakerJournal, RecentCalls
from gateway.config import Account as AccountSettings
from gateway.config import Settings
from gateway.configured import ConfigurationRecord
from gateway.day import DayUse
from gateway.events.feed import Feed
from gateway.instruments import DailyRefresh, InstrumentService
from gateway.kill import Engagement, KillFile, KillSwitch, Scope
from gateway.kill.switch import JOURNAL as JOURNAL_BROKEN
from gateway.kpi.keeper import MinuteKeeper
from gateway.lending import Lending
from gateway.market.candles import CandleDesk
from gateway.market.quotes import QuoteDesk
from gateway.observability.fills import DayFills
from gateway.observability.tally import Tally
from gateway.orchestrator.account import Account
from gateway.orchestrator.baskets import Baskets
from gateway.orchestrator.closes import PositionCloses
from gateway.orchestrator.closing import Closer
from gateway.orchestrator.exposure import Exposure
from gateway.orchestrator.kill import KillService
from gateway.orchestrator.service import OrderService
from gateway.orchestrator.squaring import SquareOff
from gateway.orchestrator.stopping import StopRun
from gateway.orchestrator.stops import Stops
from gateway.orders.problems import Problem
from gateway.orders.records import Leg
from gateway.orders.states import LegState
from gateway.prechecks.book import LimitBook
from gateway.prechecks.desk import PrecheckDesk
from gateway.prechecks.funds import FundsBook
from gateway.prechecks.loss import LossWatch
from gateway.reload import Difference, Reloader
from gateway.roster import Roster
from gateway.routes import routes_of
from gateway.secrets.sealing import Keyring
from gateway.sessions import LoginPlan, SessionKeeper, SessionManager, SessionRules
from gateway.store import Store, StoreBroken
from gateway.store.alerts import AlertQueue
from gateway.store.candles import CandleStore
from gateway.store.day import Page
from gateway.store.figures import FigureStore
from gateway.store.instruments import InstrumentStore

log = logging.getLogger(__name__)

JOURNAL = "journal.db"
INSTRUMENTS = "instruments.db"
CANDLES = "candles.db"
ALERTS = "alerts.db"
FIGURES = "figures.db"
CALLS = "calls.json"
ADAPTERS = "adapters"


class Gateway:
    """Everything that runs in one process. Open it while holding the data directory's lock."""

    def __init__(
        self,
        settings: Settings,
        plugins: Mapping[str, AdapterPlugin],
        keyring: Keyring,
        read_settings: Callable[[], Settings] | None = None,
    ) -> None:
        """`read_settings` reads the configuration anew for a reload; see `Reloader`."""
        self.settings = settings
        self._plugins = plugins
        self.switch = KillSwitch()
        data_dir = settings.data_dir
        self.tally = Tally()
        self.fills = DayFills()
        self.store = Store(
            data_dir / JOURNAL,
            keyring,
            on_broken=self._journal_broke,
            on_commit=self.tally.commit,
            on_leg=self._leg_written,
            checkpoint_rows=settings.audit.checkpoint_rows,
        )
        self.audit = AuditKeeper(self.store, settings.audit)
        self.days = CalendarFile(data_dir)
        self._instrument_store = InstrumentStore(data_dir / INSTRUMENTS)
        lending = self._lending = Lending(data_dir / INSTRUMENTS)
        self.accounts: Roster[Account] = Roster(
            {
                config.id: make_account(
                    config, plugins[config.broker], lending, data_dir / ADAPTERS
                )
                for config in settings.accounts
            }
        )
        self.groups = Roster(settings.groups)
        self.instruments = InstrumentService(
            self._instrument_store,
            self.accounts,
            data_dir,
            audit=self.store.audit,
            most_lost_percent=settings.instruments.most_lost_percent,
        )
        self.masters = DailyRefresh(self.instruments, settings.instruments.refresh_at)
        self.keys = Keys(self.store)
        self._calls = Roster({account.id: account.calls for account in self.accounts.values()})
        self.breakers = BreakerJournal(self.store, self._calls)
        self._recent_calls = RecentCalls(self.store, data_dir / CALLS, self._calls)
        self.sessions = SessionManager(
            self.store,
            self.accounts,
            self._session_active,
            self._before_logout,
            rules=SessionRules(
                warn_ahead=settings.session.warnings(), most_refused=settings.session.most_refused
            ),
            plan_of=self._login_plan,
        )
        self.session_keeper = SessionKeeper(
            self.sessions,
            self.accounts,
            self._login_plan,
            lambda day: self.days.calendar.trades_on(day, Exchange.NSE),
        )
        for account in self.accounts.values():
            self._listen(account)
        lending.open(self.accounts, self.instruments.find, self.sessions.session_expired)
        boot_id = secrets.token_hex(8)
        self.quotes = QuoteDesk(self.instruments.find, self.sessions.session_expired)
        self.limits = LimitBook(
            self.store, settings.risk, {config.id: config.risk for config in settings.accounts}
        )
        self.funds = FundsBook(self.sessions.session_expired)
        self.prechecks = PrecheckDesk(
            self.accounts,
            self.limits,
            self.funds,
            self.days.calendar,
            self.quotes.one,
            budget_s=settings.prechecks.budget_ms / 1000,
        )
        self.day = DayUse(self.store, self.prechecks, self.fills)
        self._candle_store = CandleStore(data_dir / CANDLES)
        self.candles = CandleDesk(
            self._candle_store,
            self.instruments.find,
            self.sessions.session_expired,
            self.days.calendar,
        )
        self.orders = OrderService(
            self.store,
            self.accounts,
            self.groups,
            self.instruments.find,
            boot_id=boot_id,
            kill=self.switch,
            on_session_expired=self.sessions.session_expired,
            on_duplicate=self._duplicate,
            name_contract=self.instruments.find_by_codes,
            calendar=self.days.calendar,
            read_quote=self.quotes.one,
            desk=self.prechecks,
            suggest=self.instruments.suggest,
            on_book_read=lambda account: self.kill.book_read(account),
        )
        self.baskets = Baskets(self.orders, self.store, boot_id)
        self.cancel_routes = CancelRoutes(
            self.orders.canceller, self.accounts, self.groups, self.instruments, self.store
        )
        closer = Closer(
            self.accounts,
            Exposure(self.instruments.find_by_codes, self.sessions.session_expired),
            self.orders.instrument_of,
            self.sessions.session_expired,
        )
        self.closes = PositionCloses(
            self.orders, self.store, self.accounts, closer, Stops(self.switch), boot_id
        )
        self._square_off = SquareOff(
            self.store, closer, self.orders.place_closing, self.orders.find_closing
        )
        self.kill = KillService(
            self.store,
            self.switch,
            KillFile(data_dir, self.switch, self._kill_file_changed),
            self.accounts,
            self._stop_everything,
        )
        self.reader = BookReader(
            self.instruments.find_contracts,
            self.instruments.find_isins,
            self.sessions.session_expired,
        )
        self.losses = LossWatch(
            self.accounts,
            self.limits,
            self.prechecks,
            self.reader,
            self.quotes.one,
            self._lost_too_much,
        )
        self.snapshots = SnapshotKeeper(self.store, self.accounts, self.reader, self.days.calendar)
        self.desk = BookDesk(self.store, self.reader, self.snapshots, self.days.calendar)
        self.feed = Feed(self.store)
        self.alerts = AlertDesk(
            settings.alerts,
            make_receivers(settings.alerts),
            self.store,
            partial(AlertQueue, data_dir / ALERTS, most=settings.alerts.most_waiting),
            lambda name: self.store.get_credentials(vault_account(name)),
        )
        self.watch = Watch(
            settings.alerts,
            self.store,
            self.accounts,
            self.switch,
            data_dir,
            self.alerts.tell,
            self.sessions.views,
        )
        self.figure_store = FigureStore(data_dir / FIGURES)
        self.minutes = MinuteKeeper(
            self.figure_store, self.accounts, self.switch, lambda: self.tally.repeats
        )
        self.configured = ConfigurationRecord(self.store, lambda: self.settings)
        self.reloader = Reloader(
            read=read_settings,
            running=lambda: self.settings,
            accounts=self.accounts,
            practice=lambda broker: plugins[broker].capabilities.practice,
            make=self._make_account,
            prepare=self._prepare_account,
            apply=self._apply,
            login_lock=self.sessions.lock,
            settled=self.orders.settled,
            busy=self.closes.busy,
            audit=partial(self.store.audit, "config"),
            record=self.configured.reloaded,
        )
        self._loaded: dict[str, list[Page]] = {}
        self._listening: asyncio.Event | None = None
        self._background: set[asyncio.Task[Any]] = set()

    async def start(self, listening: asyncio.Event | None = None) -> None:
        """Take up keys, sessions and orders of earlier runs; then begin to look after things.

        `listening` is set when clients can call. What only makes later calls quicker waits for
        that; nothing that judges orders does.
        """
        self._listening = listening
        self.store.emergency.reserve()
        await self.kill.load()
        await self.keys.load()
        await self.sessions.load()
        await self.breakers.load()
        await self.limits.load()
        await self._recent_calls.load()
        self._spawn(self._recent_calls.keep())
        unwritten = await self.store.merge_emergency()
        await self.kill.take_over(unwritten)
        await self.configured.started()
        await self.day.restore()
        await self.orders.start(unwritten)
        self.kill.start()
        for account in self.accounts.values():
            if account.session is not None:
                self._session_active(account.id)
        self._spawn(self.tally.watch_loop())
        self._spawn(self.minutes.run())
        self._spawn(self.session_keeper.run())
        self._spawn(self.losses.run())
        self._spawn(self._once_listening(self.snapshots.run))
        self._spawn(self._once_listening(self.masters.run))
        await self.alerts.start()
        self._spawn(self.watch.run())
        await self.audit.start()
        self._spawn(self.audit.run())

    async def stop(self) -> None:
        """Let orders on the wire finish, then close everything. Safe to call once."""
        await self.alerts.stop()
        await self.kill.stop()
        await self.cancel_routes.stop()
        await self.orders.stop()
        keeping = (self.snapshots.before_leaving(item, "stop") for item in self.accounts.values())
        await asyncio.gather(*keeping)
        await self.reader.close()
        await self.quotes.close()
        await self.funds.close()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for account in self.accounts.values():
            account.calls.close()
            await account.adapter.close()
        self._instrument_store.close()
        self._candle_store.close()
        self.figure_store.close()
        await self.keys.close()
        await self.audit.stop()
        self.store.close()

    def routes(self) -> list[Route]:
        """Everything that clients can call, with what describes it."""
        return routes_of(self)

    def _leg_written(self, leg: Leg, old: LegState | None, new: LegState) -> None:
        """Count a change of a leg; called on the journal's thread."""
        self.tally.leg(leg, old, new)
        self.fills.leg(leg)

    def app(self) -> Application:
        rates = self.settings.server.rate_limits
        limits = KeyLimits(
            KeyRates(
                requests_per_second=rates.requests_per_second,
                orders_per_second=rates.orders_per_second,
            )
        )
        return build_app(self.routes(), self.keys, limits, self.tally.request)

    def _login_plan(self, account_id: str) -> LoginPlan:
        config = self.settings.account(account_id)
        kinds = self.accounts[account_id].plugin.capabilities.login_kinds
        return LoginPlan(kind=config.login or next(iter(kinds), ""), login_at=config.login_at)

    def _listen(self, account: Account) -> None:
        account.calls.on_login_expired = partial(self.sessions.session_expired, account)
        account.calls.health.on_call = partial(self.tally.call, account.id)

    def _make_account(self, config: AccountSettings) -> Account:
        state = self.settings.data_dir / ADAPTERS
        return make_account(config, self._plugins[config.broker], self._lending, state)

    async def _prepare_account(self, account: Account) -> None:
        """Bring an account that nothing knows yet to where a start would have brought it."""
        replaced = self.accounts.get(account.id)
        await self.breakers.take_in(account.id, account.calls)
        await self._recent_calls.take_in(
            account.id, account.calls, replaced.calls if replaced is not None else None
        )
        await self.limits.load_one(account.id)
        await self.orders.learned_echo(account)
        self._loaded[account.id] = await self.day.read(account.id)

    def _apply(
        self, difference: Difference, made: Mapping[str, Account]
    ) -> list[asyncio.Future[None]]:
        """Run by another configuration from here on. Nothing in here awaits, nor may fail."""
        settings: Settings = difference.settings
        written = []
        for name in difference.leaving:
            self.orders.let_go(name)
            written.append(self.sessions.let_go(self.accounts[name]))
        accounts = {
            config.id: made.get(config.id) or self.accounts[config.id]
            for config in settings.accounts
        }
        for config in settings.accounts:
            if config.id not in made:
                account = accounts[config.id]
                account.follow_policy(policy_of(config, account.plugin))
        self.settings = settings
        self.accounts.replace(accounts)
        self._calls.replace({account.id: account.calls for account in accounts.values()})
        self.groups.replace(settings.groups)
        self.limits.configure(settings.risk, {each.id: each.risk for each in settings.accounts})
        for account in made.values():
            self._listen(account)
            self.sessions.take_in(account)
            self.funds.forget(account)
            pages = self._loaded.pop(account.id, [])
            if self.prechecks.take_in(account.id):
                self.day.count(pages)
            self.orders.take_in(account)
        return written

    def _session_active(self, account_id: str) -> None:
        """A session came up: stand a connection ready, look up old orders, load its master."""
        self.orders.wake(account_id)
        self.orders.resume_cancels(account_id)
        self._spawn(self._once_listening(partial(self._prepare, self.accounts[account_id])))

    async def _once_listening(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._listening is not None:
            await self._listening.wait()
        await work()

    async def _prepare(self, account: Account) -> None:
        session = account.session
        if session is not None:
            try:
                await account.adapter.warm(session)
            except Exception as error:  # a cold first order is slower, nothing else
                log.info("%s: no connection stands ready: %s", account.id, error)
            self.funds.forget(account)
            await self.funds.get(account, 0.0)
        await self.masters.ensure(account.broker)

    async def _before_logout(self, account: Account) -> None:
        await self.snapshots.before_leaving(account, "logout")

    def _journal_broke(self, error: BaseException) -> None:
        """Called on the writer's thread: assignments only."""
        self.switch.set_condition(JOURNAL_BROKEN, f"the journal cannot be written ({error})")

    def _duplicate(self, account: Account, text: str) -> None:
        self.kill.engage_soon(Scope.ACCOUNT, account.id, text, {"client": "gateway"}, "duplicate")

    def _lost_too_much(self, target: str | None, text: str) -> None:
        scope = Scope.GLOBAL if target is None else Scope.ACCOUNT
        log.error("%s", text)
        self.kill.engage_soon(scope, target, text, {"client": "gateway"}, "max_daily_loss")
        self._spawn(self._audit_loss(target, text))

    async def _audit_loss(self, target: str | None, text: str) -> None:
        body = {"event": "max_daily_loss", "text": text}
        try:
            await self.store.audit("alarm", body, account=target)
        except StoreBroken:
            log.error("the alarm max_daily_loss could not be written to the journal")

    def signalled(self, name: str) -> None:
        """Engage HALT_NEW globally because a signal asks for it."""
        self.kill.engage_soon(
            Scope.GLOBAL, None, f"the process got {name}", {"client": "signal"}, "signal"
        )

    def reload_soon(self) -> None:
        """Reload the configuration because a signal asks for it; the log says what came of it."""
        self._spawn(self._reload())

    async def _reload(self) -> None:
        try:
            await self.reloader.reload({"client": "signal"})
        except Problem as problem:
            log.error("the configuration was not reloaded: %s", problem.detail)
        except StoreBroken as error:
            log.error("the configuration was not reloaded: %s", error)

    async def _kill_file_changed(self, there: bool, reason: str) -> None:
        await self.kill.file_changed(there, reason)

    def _stop_everything(self, engagement: Engagement, stands: Callable[[], bool]) -> StopRun:
        """Begin what a level asks for beyond refusing."""
        accounts = self.accounts.values()
        return StopRun(engagement, accounts, self.orders.canceller, self._square_off, stands)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
