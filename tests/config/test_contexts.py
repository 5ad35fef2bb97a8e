"""What an adapter is told of its account."""

from pathlib import Path

from adapters.sdk.interface import Capabilities
from gateway.config import Account, adapter_context


def test_context_has_every_host_with_overrides_and_no_trailing_slash(
    brokers: dict[str, Capabilities],
) -> None:
    account = Account(id="a", broker="fyers", base_urls={"data": "http://127.0.0.1:9/d/"})
    context = adapter_context(account, brokers["fyers"])
    assert {"api": "https://f/api", "data": "http://127.0.0.1:9/d"} == context.base_urls


def test_login_is_the_accounts_or_else_the_adapters_first(brokers: dict[str, Capabilities]) -> None:
    for login, expected in ((None, "otp"), ("totp", "totp")):
        account = Account(id="a", broker="mstock", login=login)
        assert expected == adapter_context(account, brokers["mstock"]).login
    paper = Account(id="p", broker="paper")
    assert "" == adapter_context(paper, brokers["paper"]).login


def test_address_and_certificates_are_passed_on(brokers: dict[str, Capabilities]) -> None:
    account = Account(id="a", broker="hdfc", source_address="10.0.0.9", ca_file=Path("/ca.pem"))
    context = adapter_context(account, brokers["hdfc"])
    assert ("a", "10.0.0.9", "/ca.pem") == (
        context.account,
        context.source_address,
        context.ca_file,
    )
