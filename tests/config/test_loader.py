"""Loading: what is accepted, and every mistake with its place, its problem and its fix."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.sdk.interface import Capabilities
from gateway.config import ConfigError, Settings, load_settings

Brokers = dict[str, Capabilities]


def write(folder: Path, text: str) -> Path:
    path = folder / "brokergate.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, text: str, brokers: Brokers) -> Settings:
    return load_settings(write(folder, text), brokers)


def complaints(folder: Path, text: str, brokers: Brokers) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, brokers)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_without_a_file_everything_has_a_safe_default(
    brokers: Brokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(None, brokers)
    assert ("127.0.0.1", 8080) == (loaded.server.host, loaded.server.port)
    assert tmp_path / "data" == loaded.data_dir
    assert () == loaded.accounts


def test_empty_file_and_empty_sections_mean_the_defaults(brokers: Brokers, tmp_path: Path) -> None:
    assert () == load(tmp_path, "", brokers).accounts
    loaded = load(tmp_path, "accounts:\nserver:\n  tls:\ngroups:\ndata_dir:\n", brokers)
    assert ((), {}, 8080) == (loaded.accounts, loaded.groups, loaded.server.port)


def test_data_directory_is_relative_to_the_file(
    brokers: Brokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    write(folder, "data_dir: ../var")
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(Path("etc/brokergate.yaml"), brokers)
    assert (tmp_path / "var") == loaded.data_dir.resolve()
    assert loaded.data_dir.is_absolute()


def test_absolute_data_directory_stays(brokers: Brokers, tmp_path: Path) -> None:
    assert Path("/srv/x") == load(tmp_path, "data_dir: /srv/x", brokers).data_dir


def test_percentages_and_multipliers_keep_every_digit(brokers: Brokers, tmp_path: Path) -> None:
    text = """
groups: {g: {a: 0.1000000000000000000000000001, b: "2.50", c: 1}}
accounts:
  - {id: a, broker: paper, protect_band: {EQ: 1.10, FUT: 0.30000000000000000004}}
  - {id: b, broker: paper}
  - {id: c, broker: paper}
"""
    loaded = load(tmp_path, text, brokers)
    multipliers = loaded.groups["g"]
    assert "0.1000000000000000000000000001" == str(multipliers["a"])
    assert "2.50" == str(multipliers["b"])
    assert Decimal(1) == multipliers["c"]
    assert "1.10" == str(loaded.account("a").protect_band.EQ)
    assert "0.30000000000000000004" == str(loaded.account("a").protect_band.FUT)


def test_words_that_yaml_takes_for_something_else_stay_words(
    brokers: Brokers, tmp_path: Path
) -> None:
    text = "accounts: [{id: no, broker: paper}, {id: 010, broker: paper}, {id: 7, broker: paper}]"
    assert ["no", "010", "7"] == [each.id for each in load(tmp_path, text, brokers).accounts]


def test_rate_left_out_is_the_adapters_own(brokers: Brokers, tmp_path: Path) -> None:
    text = """
accounts:
  - {id: a, broker: mstock}
  - {id: b, broker: mstock, limits: {}}
  - {id: c, broker: mstock, limits: {orders_per_second: 3}}
"""
    rates = [each.limits.orders_per_second for each in load(tmp_path, text, brokers).accounts]
    assert [7, 7, 3] == rates


def test_unknown_account_id_is_a_key_error(brokers: Brokers, tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        load(tmp_path, "", brokers).account("ghost")


GOOD = "accounts: [{id: a, broker: fyers}, {id: b, broker: mstock}, {id: p, broker: paper}]\n"


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("servr: {}", "line 1: servr", "no such key. Did you mean `server`"),
        ("server: {prt: 1}", "line 1: server.prt", "Did you mean `port`"),
        ("server: {zzz: 1}", "line 1: server.zzz", "the keys here are host, port, tls"),
        ("server: {port: abc}", "server.port", "'abc' is not a whole number"),
        ("server: {port: 65536}", "server.port", "out of range. Use a value of at most 65535"),
        ("server: []", "server", "a list is not a map"),
        ('server: {host: ""}', "server.host", "no address to listen on"),
        ("server: {host: 127.0.0.1:80}", "server.host", "without a port"),
        ("server: {host: 0.0.0.0}", "server.host", "there is no TLS"),
        ('server: {host: "::"}', "server.host", "there is no TLS"),
        ("server: {host: gateway.example}", "server.host", "there is no TLS"),
        ("server: {tls: {key: k.pem}}", "server.tls.key", "no cert beside it"),
        ("server: {tls: {cert: c.pem}}", "server.tls.cert", "no key beside it"),
        ("server: {tls: {client_ca: c}}", "server.tls.client_ca", "has none"),
        ("server: {tls: {client_crl: c}}", "server.tls.client_crl", "none are asked for"),
        ("server: {tls: {client_crl: c}}", "server.tls.client_crl", "there is no file"),
        ("server: {tls: {client_ca: c}}", "server.tls.client_ca", "there is no file"),
        ("logging: {level: loud}", "logging.level", "Use one of 'debug'"),
        ("accounts: 5", "accounts", "5 is not a list"),
        ("accounts: [x]", "accounts[0]", "'x' is not a map"),
        ("accounts: [{broker: paper}]", "accounts[0].id", "is missing. Add `id:`"),
        ("accounts: [{id: a}]", "accounts[0].broker", "is missing. Add `broker:`"),
        ("accounts: [{id: a, broker: null}]", "accounts[0].broker", "nothing is not a text"),
        ('accounts: [{id: "", broker: paper}]', "accounts[0].id", "not a usable account id"),
        ("accounts: [{id: A, broker: paper}]", "accounts[0].id", "Use 1 to 32 of a-z"),
        ("accounts: [{id: -a, broker: paper}]", "accounts[0].id", "not a usable account id"),
        ("accounts: [{id: a_b, broker: paper}]", "accounts[0].id", "not a usable account id"),
        (f"accounts: [{{id: {'a' * 33}, broker: paper}}]", "accounts[0].id", "not a usable"),
        (
            "accounts: [{id: a, broker: zerodha}]",
            "accounts[0].broker",
            "not a known broker. Use one of fyers, hdfc, mstock, paper",
        ),
        (
            "accounts:\n- {id: a, broker: paper}\n- {id: a, broker: paper}",
            "line 3: accounts[1].id",
            "also the id of accounts[0]",
        ),
        (
            "accounts: [{id: a, broker: mstock, login: hosted}]",
            "accounts[0].login",
            "Use one of otp, totp",
        ),
        ("accounts: [{id: a, broker: paper, login: otp}]", "accounts[0].login", "Leave it out"),
        (
            "accounts: [{id: a, broker: fyers, base_urls: {order: 'https://x'}}]",
            "accounts[0].base_urls.order",
            "Use one of api, data",
        ),
        (
            "accounts: [{id: a, broker: fyers, password: canary}]",
            "accounts[0].password",
            "brokergate vault set",
        ),
        (
            "accounts: [{id: a, broker: paper, source_address: 10.0.0}]",
            "accounts[0].source_address",
            "not an IP address",
        ),
        (
            "accounts: [{id: a, broker: paper, registered_ips: [10.0.0.1, x]}]",
            "accounts[0].registered_ips[1]",
            "not an IP address",
        ),
        (
            "accounts: [{id: a, broker: paper, registered_ips: 10.0.0.1}]",
            "accounts[0].registered_ips",
            "not a list",
        ),
        (
            "accounts: [{id: a, broker: paper, exclusive: perhaps}]",
            "accounts[0].exclusive",
            "not true or false",
        ),
        (
            "accounts: [{id: a, broker: paper, market_hours: no}]",
            "accounts[0].market_hours",
            "Use one of 'enforce' or 'ignore'",
        ),
        (
            "accounts: [{id: a, broker: paper, market_orders: maybe}]",
            "accounts[0].market_orders",
            "'protect', 'reject' or 'pass'",
        ),
        (
            "accounts: [{id: a, broker: paper, limits: {orders_per_second: 0}}]",
            "accounts[0].limits.orders_per_second",
            "at least 1",
        ),
        (
            "accounts: [{id: a, broker: paper, limits: {orders_per_second: 11}}]",
            "accounts[0].limits.orders_per_second",
            "set the account's algo_id",
        ),
        (
            "accounts: [{id: a, broker: fyers, limits: {broker_windows: ignore}}]",
            "accounts[0].limits.broker_windows",
            "Leave it at enforce",
        ),
        (
            "server: {rate_limits: {requests_per_second: 5, orders_per_second: 6}}",
            "server.rate_limits.orders_per_second",
            "Lower it to 5 or less",
        ),
        (
            "accounts: [{id: a, broker: paper, limits: {orders_per_second: 8.5}}]",
            "accounts[0].limits.orders_per_second",
            "not a whole number",
        ),
        (
            "accounts: [{id: a, broker: paper, ca_file: none.pem}]",
            "accounts[0].ca_file",
            "there is no file",
        ),
        (
            "accounts: [{id: a, broker: paper, quotes_from: z}]",
            "accounts[0].quotes_from",
            "'z' is not an account here. Use one of a",
        ),
        ("groups: {g: {a: 1}}", "groups.g.a", "Add it under accounts"),
        (GOOD + "groups: {g: {z: 1}}", "groups.g.z", "Use one of a, b, p"),
        (GOOD + "groups: {g: {a: -0.1}}", "groups.g.a", "at least 0"),
        (GOOD + "groups: {g: {a: nan}}", "groups.g.a", "not a number"),
        (GOOD + "groups: {g: {a: .inf}}", "groups.g.a", "not a number"),
        (GOOD + "groups: {g: {a: lots}}", "groups.g.a", "not a number"),
        (GOOD + "groups: {g: [a, b]}", "groups.g", "not a map"),
        (GOOD + "groups: {G: {a: 1}}", "groups.G", "not a usable group name"),
        (GOOD + "groups: {g: {}}", "groups.g", "names no account"),
    ],
)
def test_mistake_has_its_place_problem_and_fix(
    text: str, where: str, problem: str, brokers: Brokers, tmp_path: Path
) -> None:
    found = complaints(tmp_path, text, brokers)
    assert any(f"{where}:" in line and problem in line for line in found), found
    assert "canary" not in "".join(found)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://example.com", "plain http to example.com"),
        ("http://127.0.0.1.example.com", "plain http"),
        ("ftp://127.0.0.1", "not an http or https URL"),
        ("api.example.com", "not an http or https URL"),
        ("https://", "not an http or https URL"),
        ("https://[::1", "is not a URL"),
        ("https://h:99999", "is not a URL"),
        ("https://u:canary@h", "Credentials belong in the vault"),
        ("https://h/?token=canary", "cut it before"),
        ("https://h/#x", "cut it before"),
        ("https://h/a b", "not an http or https URL"),
    ],
)
def test_unsafe_or_unusable_host_is_refused_without_being_quoted(
    url: str, problem: str, brokers: Brokers, tmp_path: Path
) -> None:
    text = f"accounts: [{{id: a, broker: fyers, base_urls: {{api: {url!r}}}}}]"
    (found,) = complaints(tmp_path, text, brokers)
    assert "accounts[0].base_urls.api: " in found
    assert problem in found
    assert "canary" not in found


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "http://localhost", "http://[::1]:80/x", "https://h:8443/v1/"]
)
def test_https_anywhere_and_http_on_this_machine_are_accepted(
    url: str, brokers: Brokers, tmp_path: Path
) -> None:
    text = f"accounts: [{{id: a, broker: fyers, base_urls: {{api: {url!r}}}}}]"
    assert {"api": url} == load(tmp_path, text, brokers).account("a").base_urls


@pytest.mark.parametrize("value", ["0", "-1", "50.0001", "nan", "inf", "1,5", "x"])
@pytest.mark.parametrize("kind", ["EQ", "FUT", "OPT"])
def test_protect_band_outside_0_to_50_percent_is_refused(
    kind: str, value: str, brokers: Brokers, tmp_path: Path
) -> None:
    text = f"accounts: [{{id: a, broker: paper, protect_band: {{{kind}: '{value}'}}}}]"
    (found,) = complaints(tmp_path, text, brokers)
    assert f"accounts[0].protect_band.{kind}: " in found


@pytest.mark.parametrize("value", ["0.0001", "50"])
def test_protect_band_up_to_its_bounds_is_accepted(
    value: str, brokers: Brokers, tmp_path: Path
) -> None:
    text = f"accounts: [{{id: a, broker: paper, protect_band: {{OPT: {value}}}}}]"
    assert Decimal(value) == load(tmp_path, text, brokers).account("a").protect_band.OPT


def test_rate_above_ten_is_accepted_with_an_algo_id(brokers: Brokers, tmp_path: Path) -> None:
    text = "accounts: [{id: a, broker: paper, algo_id: X1, limits: {orders_per_second: 20}}]"
    assert 20 == load(tmp_path, text, brokers).account("a").limits.orders_per_second


def test_windows_are_ignored_where_every_host_is_a_simulator_here(
    brokers: Brokers, tmp_path: Path
) -> None:
    hosts = dict.fromkeys(brokers["mstock"].hosts, "http://127.0.0.1:9")
    accounts = [
        {
            "id": "a",
            "broker": "mstock",
            "base_urls": hosts,
            "limits": {"broker_windows": "ignore"},
        }
    ]
    loaded = load(tmp_path, yaml.safe_dump({"accounts": accounts}), brokers)
    assert "ignore" == loaded.account("a").limits.broker_windows


def test_other_machines_are_served_with_tls(brokers: Brokers, tmp_path: Path) -> None:
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).touch()
    loaded = load(tmp_path, "server: {host: 0.0.0.0, tls: {cert: c.pem, key: k.pem}}", brokers)
    assert tmp_path / "c.pem" == loaded.server.tls.cert


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_tls(host: str, brokers: Brokers, tmp_path: Path) -> None:
    assert host == load(tmp_path, f"server: {{host: '{host}'}}", brokers).server.host


def test_every_mistake_is_listed_at_once_in_the_order_of_the_file(
    brokers: Brokers, tmp_path: Path
) -> None:
    text = """server: {port: -1, host: 0.0.0.0}
logging: {level: loud}
groups: {g: {ghost: 1, a: -1}}
accounts:
  - id: a
    broker: nobody
    limits: {orders_per_second: 99}
  - broker: fyers
    login: otp
  - id: a
    broker: mstock
    colour: red
"""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path, brokers)
    keys = [mistake.key for mistake in caught.value.mistakes]
    lines = [mistake.line for mistake in caught.value.mistakes]
    assert {
        "server.port",
        "server.host",
        "logging.level",
        "groups.g.ghost",
        "groups.g.a",
        "accounts[0].broker",
        "accounts[0].limits.orders_per_second",
        "accounts[1].id",
        "accounts[1].login",
        "accounts[2].id",
        "accounts[2].colour",
    } == set(keys)
    assert len(keys) == len(set(keys))
    assert sorted(lines) == lines
    assert str(caught.value).startswith("11 mistakes in the configuration:\n")
    assert "brokergate.yaml, line 6: accounts[0].broker: " in str(caught.value)


def test_unusable_account_list_is_not_followed_by_false_complaints(
    brokers: Brokers, tmp_path: Path
) -> None:
    (found,) = complaints(tmp_path, "accounts: none\ngroups: {g: {a: 1}}", brokers)
    assert "accounts: 'none' is not a list" in found


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: [1", r"line \d+: invalid YAML at column \d+: .*"),
        ("a: b: c", r"line 1: invalid YAML at column 5: mapping values are not allowed here"),
        ("\tx: 1", r"line 1: invalid YAML"),
        ("a: *nobody", r"undefined alias"),
        ("a: \x07", r"line 1: invalid YAML: character 7"),
        ("- a\n- b", r"has to hold keys with values"),
        ("just words", r"has to hold keys with values"),
        ("a: 1\n---\nb: 2", r"invalid YAML"),
        ("a: &a [*a]", r"alias that contains itself"),
        ("? [a, b]\n: 1", r"a key has to be a word"),
        ("server: !python/object:os.system {}", r"the tag !python/object:os.system has no meaning"),
        ("server:\n  port: 1\n  port: 2", r"line 3: server.port: the key is given twice.*line 2"),
        ("a: " + "[" * 5000, r"nested too deeply|invalid YAML"),
        ("a: " + "[" * 50 + "]" * 50, r"nested too deeply"),
    ],
)
def test_malformed_yaml_is_refused_with_its_place(
    text: str, complaint: str, brokers: Brokers, tmp_path: Path
) -> None:
    found = "\n".join(complaints(tmp_path, text, brokers))
    assert "brokergate.yaml" in found
    assert re.search(complaint, found), found


def test_missing_file_is_refused_with_the_way_to_make_one(brokers: Brokers, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file .*brokergate init"):
        load_settings(tmp_path / "none.yaml", brokers)


def test_directory_instead_of_a_file_is_refused(brokers: Brokers, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load_settings(tmp_path, brokers)


def test_file_that_is_not_utf8_is_refused(brokers: Brokers, tmp_path: Path) -> None:
    path = tmp_path / "brokergate.yaml"
    path.write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="not UTF-8 text at byte 3"):
        load_settings(path, brokers)


_KEYS = st.sampled_from(
    [
        "data_dir",
        "server",
        "host",
        "port",
        "tls",
        "cert",
        "groups",
        "accounts",
        "id",
        "broker",
        "base_urls",
        "login",
        "limits",
        "orders_per_second",
        "registered_ips",
        "protect_band",
        "EQ",
        "quotes_from",
        "exclusive",
        "x",
    ]
)
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["fyers", "a", "1.5", "https://h", "10.0.0.1"]),
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(_KEYS, _VALUES, max_size=4), st.lists(_VALUES, max_size=3))
def test_any_yaml_loads_or_is_refused_with_our_error(
    brokers: Brokers, tmp_path: Path, tree: dict[str, Any], accounts: list[Any]
) -> None:
    path = tmp_path / "brokergate.yaml"
    path.write_text(yaml.safe_dump(tree | {"accounts": accounts}, allow_unicode=True), "utf-8")
    try:
        loaded = load_settings(path, brokers)
    except ConfigError as error:
        assert error.mistakes
    else:
        assert all(account.broker in brokers for account in loaded.accounts)
