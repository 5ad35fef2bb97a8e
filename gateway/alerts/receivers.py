"""Where alerts go: what every receiver has in common, and how they are made from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gateway.alerts.alert import Rule

if TYPE_CHECKING:
    from gateway.config.settings import Alerts

VAULT_PREFIX = "@alert:"
SECRET = "secret"  # noqa: S105 - the name of a field
DELIVERY_S = 15.0


class NotDelivered(Exception):
    """An attempt failed. `is_down`: nothing else would get through to this receiver either.

    The text may be shown: it holds no URL beyond its host, and no secret.
    """

    def __init__(self, text: str, *, is_down: bool = True) -> None:
        super().__init__(text)
        self.is_down = is_down


class Receiver(Protocol):
    """`rules` empty: all of them. `needs_secret`: nothing is sent before the vault holds one."""

    name: str
    kind: str
    address: str
    rules: frozenset[Rule]
    needs_secret: bool

    def takes_heads(self) -> bool:
        """Whether this receiver wants the audit log's head from time to time."""
        ...

    async def deliver(self, alert: str, body: bytes, secret: str | None) -> None:
        """Tell one alert, once. Raises: `NotDelivered`."""
        ...

    async def close(self) -> None: ...


def vault_account(name: str) -> str:
    """The name under which a receiver's secret is sealed; no broker account can have it."""
    return VAULT_PREFIX + name


def make_receivers(settings: Alerts) -> dict[str, Receiver]:
    """Make every receiver that the settings name. Nothing is connected to."""
    receivers: dict[str, Receiver] = {}
    # Each kind is loaded where there is one: mail alone brings two dozen modules with it.
    if settings.webhooks:
        from gateway.alerts.webhook import Webhook

        for hook in settings.webhooks:
            receivers[hook.name] = Webhook(
                hook.name,
                hook.url,
                rules=frozenset(map(Rule, hook.rules)),
                ca_file=str(hook.ca_file) if hook.ca_file else None,
                heads=hook.audit_heads,
            )
    if settings.emails:
        from gateway.alerts.email import Mailbox

        for mail in settings.emails:
            receivers[mail.name] = Mailbox(
                mail.name,
                mail.host,
                mail.port or (465 if mail.security == "ssl" else 587),
                security=mail.security,
                username=mail.username,
                sender=mail.sender,
                to=mail.to,
                rules=frozenset(map(Rule, mail.rules)),
                ca_file=str(mail.ca_file) if mail.ca_file else None,
            )
    return receivers
