"""API keys: what is minted is recognised, what is mistyped is refused offline, nothing leaks."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.secrets.api_keys import ApiKey, ApiKeyError, Minted, PresentedKey, Scope, mint, parse

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def minted(scopes: list[str] | None = None, accounts: list[str] | None = None) -> Minted:
    return mint("desk", scopes or ["trade"], accounts, now=NOW)


def test_minted_key_is_recognised() -> None:
    new = minted()
    presented = parse(new.text)
    assert new.record.id == presented.id
    assert new.record.matches(presented)


def test_key_has_the_documented_form() -> None:
    prefix, live, key_id, secret = minted().text.split("_")
    assert ("bg", "live") == (prefix, live)
    assert 10 == len(key_id)
    assert 43 + 6 == len(secret)


def test_another_key_does_not_match() -> None:
    assert not minted().record.matches(parse(minted().text))


@given(st.data())
def test_any_single_wrong_character_is_refused_offline(data: st.DataObject) -> None:
    text = minted().text
    index = data.draw(st.integers(0, len(text) - 1))
    wrong = data.draw(st.characters(codec="ascii").filter(lambda other: other != text[index]))
    with pytest.raises(ApiKeyError):
        parse(text[:index] + wrong + text[index + 1 :])


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: t + "0", lambda t: t + "\n"])
def test_cut_or_lengthened_key_is_refused(change) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ApiKeyError):
        parse(change(minted().text))


@given(st.text(max_size=80))
def test_any_text_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ApiKeyError) as caught:
        parse("canary" + text)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("held", "allowed"),
    [
        ("read", {"read"}),
        ("trade", {"read", "trade"}),
        ("login", {"login"}),
        ("operate", {"read", "trade", "login", "operate"}),
        ("admin", {"read", "trade", "login", "operate", "admin"}),
    ],
)
def test_scopes_include_what_the_contract_says(held: str, allowed: set[str]) -> None:
    record = minted([held]).record
    assert allowed == {scope.value for scope in Scope if record.allows(scope)}


def test_scopes_add_up() -> None:
    record = minted(["read", "login"]).record
    assert record.allows(Scope.READ)
    assert record.allows(Scope.LOGIN)
    assert not record.allows(Scope.TRADE)


def test_account_list_limits_and_its_absence_does_not() -> None:
    assert minted().record.allows_account("any")
    limited = minted(accounts=["fyers-main"]).record
    assert limited.allows_account("fyers-main")
    assert not limited.allows_account("mstock-main")


def test_key_ends_at_its_expiry() -> None:
    ends = NOW + timedelta(hours=1)
    record = mint("desk", ["read"], None, ends, now=NOW).record
    assert not record.is_expired(ends - timedelta(seconds=1))
    assert record.is_expired(ends)
    assert not minted().record.is_expired(ends + timedelta(days=9999))


@pytest.mark.parametrize(
    ("name", "scopes", "accounts", "expires_at", "field"),
    [
        ("", ["read"], None, None, "name"),
        ("x" * 65, ["read"], None, None, "name"),
        ("a\nb", ["read"], None, None, "name"),
        (" a", ["read"], None, None, "name"),
        ("a", [], None, None, "scopes"),
        ("a", ["write"], None, None, "scopes"),
        ("a", "read", None, None, "scopes"),
        ("a", ["read"], [], None, "accounts"),
        ("a", ["read"], None, NOW.replace(tzinfo=None), "expires_at"),
        ("a", ["read"], None, NOW, "expires_at"),
    ],
)
def test_bad_request_for_a_key_names_the_field(
    name: str,
    scopes: list[str],
    accounts: list[str] | None,
    expires_at: datetime | None,
    field: str,
) -> None:
    with pytest.raises(ApiKeyError, match=f"^{field}: "):
        mint(name, scopes, accounts, expires_at, now=NOW)


def test_no_repr_holds_the_key_or_its_hash() -> None:
    new = minted()
    presented = parse(new.text)
    for shown in (repr(new), repr(new.record), repr(presented), str(new)):
        assert new.text not in shown
        assert new.text[-40:] not in shown
        assert repr(new.record.hash) not in shown
        assert new.record.id in shown


def test_record_survives_a_round_trip_through_msgpack() -> None:
    record = minted(accounts=["a"]).record
    assert record == msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=ApiKey)


def test_the_plain_key_is_not_in_the_record() -> None:
    new = minted()
    assert new.text.encode()[-20:] not in msgspec.msgpack.encode(new.record)


def test_presented_key_with_the_same_id_and_another_secret_does_not_match() -> None:
    record = minted().record
    assert not record.matches(PresentedKey(id=record.id, hash=b"\0" * 32))
