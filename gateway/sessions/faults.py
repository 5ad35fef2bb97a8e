"""Whose fault a refusal is: the gateway's key, the broker's session, or the broker."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from adapters.sdk.errors import GatewayError, LoginRefused
from gateway.orders.problems import Problem

if TYPE_CHECKING:
    from gateway.orchestrator.account import Account
    from gateway.sessions.standing import Standing


class Fault(StrEnum):
    """The member `at_fault` of a problem about getting in."""

    GATEWAY_KEY = "gateway_key"
    BROKER_SESSION = "broker_session"
    BROKER = "broker"


def session_problem(
    status: int,
    code: str,
    detail: str,
    *,
    fault: Fault = Fault.BROKER_SESSION,
    retry_after_s: int | None = None,
) -> Problem:
    """A refusal that has to do with an account's login."""
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s is not None else {}
    return Problem(status, code, detail, headers=headers, extra={"at_fault": fault})


def login_problem(
    account: Account, error: GatewayError, *, restart: bool, standing: Standing | None = None
) -> Problem:
    """What the broker answered to a login step, in its own words."""
    refused = isinstance(error, LoginRefused)
    detail = error.message
    more: dict[str, Any] = {}
    if standing is not None:
        more = {
            "refused_logins": standing.refused_logins,
            "attempts_left": standing.attempts_left,
        }
    if standing is not None and standing.is_blocked:
        detail += f"; {_blocked(account)}"
        restart = True
    elif restart:
        detail += f"; begin again with POST /v1/sessions/{account.id}/login"
    return Problem(
        422 if refused else 502,
        "login_refused" if refused else "broker_unavailable",
        detail,
        extra={
            "at_fault": Fault.BROKER,
            "broker": account.broker,
            "broker_code": error.broker_code,
            "broker_message": error.broker_message,
            "restart": restart,
            **more,
        },
    )


def blocked_problem(account: Account, standing: Standing) -> Problem:
    """No login is sent: another refusal could lock the account at the broker."""
    said = f"the broker said: {standing.last_error}" if standing.last_error else "see the log"
    return Problem(
        409,
        "login_blocked",
        f"{_blocked(account)} ({said})",
        extra={
            "at_fault": Fault.BROKER_SESSION,
            "refused_logins": standing.refused_logins,
            "attempts_left": standing.attempts_left,
        },
    )


def _blocked(account: Account) -> str:
    return (
        f"no further login of {account.id} is tried, since another refusal could lock the account:"
        f" check the credentials (brokergate vault set {account.id}), log in once at the broker's"
        f" own page, then: brokergate login {account.id} --unblock"
    )
