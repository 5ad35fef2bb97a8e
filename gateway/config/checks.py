"""What types cannot say: accounts against brokers, groups and each other, the listener's TLS."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from adapters.sdk.interface import Capabilities
from gateway.config.mistakes import Path
from gateway.config.settings import (
    Account,
    Alerts,
    Email,
    Server,
    Settings,
    Webhook,
    is_loopback,
)

MOST_ORDERS_PER_SECOND_WITHOUT_ALGO_ID = 10
ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_MAIL_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")

Finding = tuple[Path, str, str]


def find_mistakes(
    settings: Settings, brokers: Mapping[str, Capabilities], *, accounts_read: bool
) -> Iterator[Finding]:
    """Yield every mistake as path, problem and fix.

    `accounts_read`: False when the list of accounts itself was unusable, so that nothing is
    said about references into it.
    """
    yield from _server(settings.server)
    ids = [account.id for account in settings.accounts]
    for at, account in enumerate(settings.accounts):
        path: Path = ("accounts", at)
        yield from _id(account.id, (*path, "id"), "account id")
        if account.id in ids[:at]:
            first = ids.index(account.id)
            problem = f"{account.id!r} is also the id of accounts[{first}]"
            yield (*path, "id"), problem, "Give each account an id of its own"
        yield from _account(account, path, brokers)
        if account.quotes_from is not None and account.quotes_from not in ids:
            yield _unknown_account((*path, "quotes_from"), account.quotes_from, ids)
        yield from _practice(account, path, settings, brokers)
    for group, members in settings.groups.items():
        yield from _id(group, ("groups", group), "group name")
        if not members:
            yield ("groups", group), "names no account", "Write `{account: multiplier}`"
        for member in members if accounts_read else ():
            if member not in ids:
                yield _unknown_account(("groups", group, member), member, ids)
    yield from _alerts(settings.alerts)


def _alerts(alerts: Alerts) -> Iterator[Finding]:
    names: list[str] = []
    both: tuple[tuple[str, tuple[Webhook | Email, ...]], ...] = (
        ("webhooks", alerts.webhooks),
        ("emails", alerts.emails),
    )
    for kind, receivers in both:
        for at, receiver in enumerate(receivers):
            path: Path = ("alerts", kind, at)
            yield from _id(receiver.name, (*path, "name"), "name of a receiver")
            if receiver.name in names:
                problem = f"{receiver.name!r} is also the name of another receiver"
                yield (*path, "name"), problem, "Give each receiver a name of its own"
            names.append(receiver.name)
            file = receiver.ca_file
            if file is not None and not file.is_file():
                yield (*path, "ca_file"), f"there is no file {file}", "Name a PEM file"
    for at, hook in enumerate(alerts.webhooks):
        if complaint := _complaint_about_url(hook.url, query=True):
            yield ("alerts", "webhooks", at, "url"), *complaint
    for at, mail in enumerate(alerts.emails):
        path = ("alerts", "emails", at)
        if not _HOST_NAME.fullmatch(mail.host) and not _is_address(mail.host):
            yield (*path, "host"), f"{_quoted(mail.host)} is no host", "Write mail.example.com"
        elif mail.security == "none" and not is_loopback(mail.host):
            problem = f"sends in the clear to {mail.host}"
            yield (*path, "security"), problem, "Use starttls or ssl"
        for name, addresses in (("sender", (mail.sender,)), ("to", mail.to)):
            for address in addresses:
                if not _MAIL_ADDRESS.fullmatch(address):
                    problem = f"{_quoted(address)} is no e-mail address"
                    yield (*path, name), problem, "Write it as in owner@example.com"


def _server(server: Server) -> Iterator[Finding]:
    host, tls = server.host, server.tls
    rates = server.rate_limits
    if rates.orders_per_second > rates.requests_per_second:
        problem = f"{rates.orders_per_second} orders are more than the requests of a second"
        fix = f"Lower it to {rates.requests_per_second} or less, or raise requests_per_second"
        yield ("server", "rate_limits", "orders_per_second"), problem, fix
    path: Path = ("server", "tls")
    if not is_loopback(host):
        if not _is_address(host) and not _HOST_NAME.fullmatch(host):
            problem = f"{_quoted(host)} is no address to listen on"
            yield ("server", "host"), problem, "Write an address as in 127.0.0.1, without a port"
        elif tls.cert is None and tls.key is None:
            problem = f"{host} is reachable from other machines, and there is no TLS"
            fix = "Set server.tls.cert and server.tls.key, or listen on 127.0.0.1"
            yield ("server", "host"), problem, fix
    if tls.cert is not None and tls.key is None:
        yield (*path, "cert"), "has no key beside it", "Set server.tls.key to its private key"
    if tls.key is not None and tls.cert is None:
        yield (*path, "key"), "has no cert beside it", "Set server.tls.cert to its certificate"
    if tls.client_ca is not None and tls.cert is None:
        problem = "asks clients for certificates on a listener that has none"
        yield (*path, "client_ca"), problem, "Set server.tls.cert and server.tls.key as well"
    if tls.client_crl is not None and tls.client_ca is None:
        problem = "takes back clients' certificates, and none are asked for"
        yield (*path, "client_crl"), problem, "Set server.tls.client_ca to the CA that signed it"
    if tls.client_verify and tls.client_ca is None:
        problem = "is true, and there is no CA to verify clients by"
        fix = "Set server.tls.client_ca to the CA's certificate, or remove client_verify"
        yield (*path, "client_verify"), problem, fix
    if tls.client_verify is False and tls.client_ca is not None:
        problem = "is false, and client_ca says that clients are verified"
        yield (*path, "client_verify"), problem, "Remove one of the two"
    for name in ("cert", "key", "client_ca", "client_crl"):
        file = getattr(tls, name)
        if file is not None and not file.is_file():
            yield (*path, name), f"there is no file {file}", "Name a PEM file"


def _account(
    account: Account, path: Path, brokers: Mapping[str, Capabilities]
) -> Iterator[Finding]:
    rate = account.limits.orders_per_second
    if rate > MOST_ORDERS_PER_SECOND_WITHOUT_ALGO_ID and account.algo_id is None:
        most = MOST_ORDERS_PER_SECOND_WITHOUT_ALGO_ID
        problem = f"{rate} is above the {most} that exchanges allow without a registered algorithm"
        fix = f"Lower it to {most} or less, or set the account's algo_id"
        yield (*path, "limits", "orders_per_second"), problem, fix
    if account.ca_file is not None and not account.ca_file.is_file():
        yield (*path, "ca_file"), f"there is no file {account.ca_file}", "Name a PEM file"
    capabilities = brokers.get(account.broker)
    if capabilities is None:
        problem = f"{_quoted(account.broker)} is not a known broker"
        yield (*path, "broker"), problem, f"Use one of {_listed(brokers)}"
        return
    if account.login is not None and account.login not in capabilities.login_kinds:
        problem = f"{_quoted(account.login)} is not a login that {account.broker} offers"
        kinds = _listed(capabilities.login_kinds)
        fix = f"Use one of {kinds}, or leave it out" if kinds else "Leave it out"
        yield (*path, "login"), problem, fix
    practice = all(_is_local(account.base_urls.get(name, "")) for name in capabilities.hosts)
    if account.limits.broker_windows == "ignore" and not practice:
        problem = "a broker blocks accounts that exceed its limits"
        fix = "Leave it at enforce; only simulators on this machine may be called without limits"
        yield (*path, "limits", "broker_windows"), problem, fix
    for name, url in account.base_urls.items():
        place = (*path, "base_urls", name)
        if name not in capabilities.hosts:
            problem = f"{account.broker} has no host of that name"
            hosts = _listed(capabilities.hosts)
            yield place, problem, f"Use one of {hosts}" if hosts else "Leave it out"
        if complaint := _complaint_about_url(url):
            yield place, *complaint


def _practice(
    account: Account, path: Path, settings: Settings, brokers: Mapping[str, Capabilities]
) -> Iterator[Finding]:
    practising = {
        each.id
        for each in settings.accounts
        if each.broker in brokers and brokers[each.broker].practice
    }
    if account.practice_cash is not None and account.id not in practising:
        problem = f"{account.broker} trades with real money"
        yield (*path, "practice_cash"), problem, "Remove it; only practice accounts begin with it"
    # Made-up prices must never decide about real money, nor a market be lent in a circle.
    if account.quotes_from in practising:
        problem = (
            f"{_quoted(account.quotes_from or '')} is a practice account without prices of its own"
        )
        yield (*path, "quotes_from"), problem, "Name an account at a real broker"


def _complaint_about_url(url: str, *, query: bool = False) -> tuple[str, str] | None:
    form = "Write it as in https://host/path"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL", form
    if parts.scheme not in ("http", "https") or not host or any(c.isspace() for c in url):
        return "is not an http or https URL", form
    if parts.username is not None or parts.password is not None:
        return "holds a user or a password", "Credentials belong in the vault: remove them"
    if parts.fragment or (parts.query and not query):
        return "holds a query or a fragment", "Paths are appended to it: cut it before ? or #"
    if parts.scheme == "http" and not is_loopback(host):
        return f"is plain http to {host}", "Use https; plain http is for this machine only"
    return None


def _id(text: str, path: Path, what: str) -> Iterator[Finding]:
    if not ID.fullmatch(text):
        problem = f"{_quoted(text)} is not a usable {what}"
        fix = "Use 1 to 32 of a-z, 0-9 and -, beginning with a letter or digit"
        yield path, problem, fix


def _unknown_account(path: Path, name: str, ids: list[str]) -> Finding:
    known = _listed(each for each in ids if each)
    fix = f"Use one of {known}" if known else "Add it under accounts"
    return path, f"{_quoted(name)} is not an account here", fix


def _is_local(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
