"""The console: a header that always tells, one view at a time, dialogs for whatever acts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, cast

from textual import events
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Footer, Static

from tui.dialogs.base import Dialog
from tui.feed import Feed
from tui.header import Header
from tui.keyline import KeyLine, Typed
from tui.link import Gateway, Where
from tui.model import Model
from tui.panel import Grid
from tui.views import PLACES, View, tabs_words

THEMES = {"dark": "textual-dark", "light": "textual-light"}
_LOGGED_OUT = ("missing", "expired", "refused", "otp_required", "redirect_required", "parked")


class Console(App[None]):
    """Runs against one gateway. `keys` maps names of bindings to keys."""

    TITLE = "brokergate"
    CSS = """
    #tabs { height: 1; padding: 0 1; background: $boost; }
    ContentSwitcher { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "exclamation_mark",
            "kill",
            "Kill",
            priority=True,
            id="kill.open",
            tooltip="Open the kill switch, from anywhere",
        ),
        *(
            Binding(
                str(number),
                f"view({number})",
                label,
                show=False,
                id=f"view.{label.lower()}",
                tooltip=f"Show: {label}",
            )
            for number, label in enumerate(PLACES, 1)
        ),
        Binding("r", "refresh", "Refresh", show=False, id="refresh", tooltip="Read again now"),
        Binding("t", "theme", "Theme", show=False, id="theme", tooltip="Light or dark"),
        Binding(
            "backspace",
            "clear_alarm",
            "Clear",
            show=False,
            id="alarm.clear",
            tooltip="Clear the alarm line",
        ),
        Binding(
            "colon",
            "command_palette",
            "Palette",
            show=False,
            id="palette",
            tooltip="Search the commands",
        ),
        Binding("question_mark", "help", "Help", id="help", tooltip="These keys"),
        Binding("q", "quit", "Quit", id="quit", tooltip="Leave; the gateway goes on"),
    ]

    def __init__(
        self,
        where: Where,
        *,
        read_only: bool = False,
        theme: str = "dark",
        keys: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.gateway = Gateway(where)
        self.model = Model(read_only=read_only)
        self.feed = Feed(self.gateway, self.model, self._wanted, self._changed)
        self.keyline = KeyLine(self, super().on_event)
        self.theme = THEMES[theme]
        self._keys = keys or {}

    def compose(self) -> ComposeResult:
        first, load = next(iter(PLACES.items()))
        yield Header(str(self.gateway.where))
        yield Static(tabs_words(1), id="tabs", markup=False)
        with ContentSwitcher(initial=_view_id(first)):
            yield load()(id=_view_id(first))
        yield Footer(show_command_palette=False)

    async def on_mount(self) -> None:
        self.set_keymap(self._keys)
        self._changed(set())
        self.run_worker(self.feed.run(), group="feed")
        self.run_worker(self.keyline.run(), group="keys")
        self.set_interval(1.0, self._tick)
        await self.action_view(1)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, Typed) and not event.is_forwarded:
            self.keyline.put(event)
        else:
            await super().on_event(event)

    @property
    def view(self) -> View:
        """The view in front."""
        switcher = self.screen_stack[0].query_one(ContentSwitcher)
        return cast(View, switcher.visible_content)

    @property
    def kill_keys(self) -> list[str]:
        """The kill switch's keys, which nothing may hold back, drop or type into a field."""
        return self._keys.get("kill.open", "exclamation_mark").split(",")

    def allowed(self, scope: str) -> bool:
        """Whether this console may do that; where not, the person is told why."""
        if self.model.may(scope):
            return True
        if self.model.read_only:
            why = "the console was started with --read-only"
        elif not self.model.connected:
            why = "the gateway does not answer"
        else:
            why = f"this key may not: it needs the scope {scope}"
        self.notify(f"Not done: {why}", severity="warning")
        return False

    def log_in(self, accounts: list[str], *, renew: bool) -> None:
        from tui.dialogs.login import LoginDialog

        if self.allowed("login"):
            self.push_screen(LoginDialog(accounts, renew=renew))

    def action_log_in_all(self) -> None:
        accounts = [
            row["account"] for row in self.model.accounts if row["session"]["state"] in _LOGGED_OUT
        ]
        if accounts:
            self.log_in(accounts, renew=False)
        else:
            self.notify("Every account is logged in")

    def action_kill(self) -> None:
        from tui.dialogs.kill import KillDialog

        if not any(isinstance(screen, KillDialog) for screen in self.screen_stack):
            self.push_screen(KillDialog())

    async def action_view(self, number: int) -> None:
        """Bring a view to the front; one that was never looked at is made now."""
        base = self.screen_stack[0]
        label = list(PLACES)[number - 1]
        switcher = base.query_one(ContentSwitcher)
        if not switcher.query(f"#{_view_id(label)}"):
            await switcher.add_content(PLACES[label]()(id=_view_id(label)))
        switcher.current = _view_id(label)
        base.query_one("#tabs", Static).update(tabs_words(number))
        view = self.view
        view.show(self.model)
        view.opened()
        self.feed.want(*view.wants, *view.on_demand)

    def action_refresh(self) -> None:
        self.feed.want(
            "accounts", "kill", "unresolved", "figures", *self.view.wants, *self.view.on_demand
        )
        self.view.opened()

    def action_theme(self) -> None:
        self.theme = THEMES["light" if self.theme == THEMES["dark"] else "dark"]

    def action_clear_alarm(self) -> None:
        self.model.alarm = ""
        self._changed(set())

    def action_help(self) -> None:
        from tui.dialogs.help import Help

        groups = [
            ("Everywhere", _bindings(type(self))),
            (self.view.label, _bindings(type(self.view))),
            ("In a list", _bindings(Grid)),
        ]
        self.push_screen(Help(groups, self._keys))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        yield from super().get_system_commands(screen)
        for binding in [*_bindings(type(self)), *_bindings(type(self.view))]:
            at_app = binding in _bindings(type(self))
            target = self if at_app else self.view
            action = binding.action

            async def act(action: str = action, target: object = target) -> None:
                await self.run_action(action, target)  # type: ignore[arg-type]

            yield SystemCommand(binding.tooltip or binding.description, f"key {binding.key}", act)

    def _wanted(self) -> Iterable[str]:
        return self.view.wants

    def _changed(self, names: set[str]) -> None:
        if not self.is_running or not self.screen_stack:  # on the way out
            return
        base = self.screen_stack[0]
        base.query_one(Header).show(self.model)
        self.view.show(self.model)
        for screen in self.screen_stack:
            if isinstance(screen, Dialog) and screen.query(".gone"):  # it is mounted
                screen.show_link(self.model)
                screen.show(self.model)

    def _tick(self) -> None:
        """What ages has its age drawn; a console that shows only what is new is left alone."""
        if self.model.gone_since is not None or self.view.on_demand:
            self._changed(set())


def _view_id(label: str) -> str:
    return label.lower()


def _bindings(owner: type) -> list[Binding]:
    return [binding for binding in owner.__dict__.get("BINDINGS", ()) if binding.id]
