"""`brokergate login`: log accounts in by each broker's own steps."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote

import click

from gateway.cli.client import Api, ask, problem_words
from gateway.cli.failure import Failure
from gateway.cli.options import json_option, target_of, target_options
from gateway.cli.output import print_json
from gateway.cli.target import connected

_TIMEOUT_S = 90.0


@click.command("login")
@click.argument("account", required=False)
@click.option("--all", "every", is_flag=True, help="Every account that is not logged in.")
@click.option("--renew", is_flag=True, help="Even if the session is still good.")
@click.option("--unblock", is_flag=True, help="Try once more after refusals that blocked it.")
@click.option("--open", "open_page", is_flag=True, help="Open the broker's page in a browser.")
@target_options
@json_option
def command(
    account: str | None,
    every: bool,
    renew: bool,
    unblock: bool,
    open_page: bool,
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """Log in at the broker: asks for the one-time password, or shows the page to open.

    No step is repeated by itself. After some refusals in a row (session.most_refused) none is
    tried any more, since another could lock the account; --unblock is your word that the
    credentials are right now.

    \b
    Examples:
      brokergate login fyers-main
      brokergate login --all
      brokergate login hdfc-main --unblock
    """
    if bool(account) == every:
        raise click.UsageError("name one ACCOUNT, or use --all")
    if unblock and every:
        raise click.UsageError("--unblock goes with one ACCOUNT: look at each that is blocked")
    with connected(target_of(config, url, key_file)) as api:
        names = [account] if account else _accounts(api)
        how = _How({"renew": renew, "unblock": unblock}, open_page)
        failed = [name for name in names if not _tried(api, name, how)]
        if as_json:
            sessions = ask(api, "GET", "/v1/sessions")["sessions"]
            print_json({"sessions": [row for row in sessions if row["account"] in names]})
    if failed:
        raise click.exceptions.Exit(1)


class _How(NamedTuple):
    """What a login begins with, and whether the broker's page is opened as well as shown."""

    begin: dict[str, bool]
    open_page: bool


def _accounts(api: Api) -> list[str]:
    names = [row["account"] for row in ask(api, "GET", "/v1/sessions")["sessions"]]
    if not names:
        raise Failure("no account is configured; add one under `accounts:`")
    return names


def _tried(api: Api, account: str, how: _How) -> bool:
    try:
        answer = _log_in(api, account, how)
    except Failure as error:
        click.echo(f"{account}: {error.message}", err=True)
        return False
    until = f", until {answer['expires_at']}" if answer.get("expires_at") else ""
    click.echo(f"{account}: logged in{until}", err=True)
    return True


def _log_in(api: Api, account: str, how: _How) -> dict[str, Any]:
    base = f"/v1/sessions/{quote(account, safe='')}"
    answer = ask(api, "POST", f"{base}/login", how.begin, timeout_s=_TIMEOUT_S)
    while answer["state"] != "active":
        if answer["state"] == "otp_required":
            answer = _answer_otp(api, base, account, answer)
        elif answer["state"] == "redirect_required":
            answer = _answer_redirect(api, base, account, answer, how)
        elif answer["state"] == "parked":
            answer = ask(api, "POST", f"{base}/confirm", timeout_s=_TIMEOUT_S)
        else:
            raise Failure(f"the login stands at {answer['state']}; try again")
    return dict(answer)


def _answer_otp(api: Api, base: str, account: str, asked: dict[str, Any]) -> Any:
    """Ask until an OTP is taken or the login is over; every try is the person's own."""
    while True:
        otp = click.prompt(f"{account}: {asked['prompt']}", err=True).strip()
        body = {"challenge_id": asked["challenge_id"], "otp": otp}
        reply = api.call("POST", f"{base}/otp", body, timeout_s=_TIMEOUT_S)
        if reply.status < 400:
            return reply.body
        may_go_on = isinstance(reply.body, dict) and reply.body.get("restart") is False
        if not may_go_on:
            raise Failure(problem_words(reply))
        click.echo(f"{account}: {problem_words(reply)}", err=True)


def _answer_redirect(api: Api, base: str, account: str, asked: dict[str, Any], how: _How) -> Any:
    click.echo(f"{account}: open this page and log in there:\n\n  {asked['login_url']}\n", err=True)
    if how.open_page:
        click.launch(asked["login_url"])
    url = click.prompt(
        "Paste the address that the browser ends on, or press Enter once it says Logged in",
        default="",
        show_default=False,
        err=True,
    ).strip()
    if url:
        return ask(api, "POST", f"{base}/callback", {"url": url}, timeout_s=_TIMEOUT_S)
    for row in ask(api, "GET", "/v1/sessions")["sessions"]:
        if row["account"] == account and row["state"] in ("active", "expiring", "parked"):
            # What is left of this session does not matter: it works.
            return row | {"state": "parked" if row["state"] == "parked" else "active"}
    raise Failure("the broker's redirect has not arrived; try again and paste the address")
