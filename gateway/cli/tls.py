"""`brokergate tls`: a certificate authority of one's own, for those who have no certificates."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.cli.failure import Failure, told
from gateway.cli.options import config_option, json_option
from gateway.cli.output import print_json

if TYPE_CHECKING:
    from gateway.tls.folder import Made, TlsFolder

F = TypeVar("F", bound=Callable[..., Any])

_DIR = click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    help="Where the files are.  [default: tls, beside the configuration]",
)


def _days(command: F) -> F:
    return click.option(
        "--days",
        type=click.IntRange(1, 3650),
        default=825,
        show_default=True,
        help="How long the certificate is valid.",
    )(command)


@click.group("tls")
def command() -> None:
    """TLS for a gateway that other machines reach: a CA, a server and client certificates.

    \b
    The server proves itself to its callers: they trust ca.crt.
    Callers prove themselves to the server, if you want that: they have a client certificate,
    and an API key all the same.
    The gateway takes up renewed files by itself, without a restart and without dropping
    a request.

    \b
    Example:
      brokergate tls init --host gate.lan
    """


@command.command("init")
@_DIR
@click.option(
    "--host",
    "hosts",
    multiple=True,
    help="A name or address that callers use (repeatable).  [default: this machine's own]",
)
@click.option(
    "--client",
    "clients",
    multiple=True,
    default=("operator",),
    show_default=True,
    help="Make a client certificate of this name (repeatable).",
)
@_days
@config_option
@json_option
def init(
    folder: Path | None,
    hosts: tuple[str, ...],
    clients: tuple[str, ...],
    days: int,
    config: str | None,
    as_json: bool,
) -> None:
    """Make a local CA, a server certificate and client certificates. Overwrites nothing.

    \b
    It writes, each with mode 0600:
      ca.crt, ca.key                  the CA. Callers trust ca.crt. ca.key signs whom you let in:
                                      move it to a safe place once you have made what you need
      server.crt, server.key          the gateway's own
      client-NAME.crt, client-NAME.key   one caller's own
    and prints what to put into brokergate.yaml and a curl line that works with it.

    localhost, 127.0.0.1 and ::1 are always among the server's names.

    \b
    Examples:
      brokergate tls init
      brokergate tls init --host gate.lan --host 203.0.113.7 --client laptop --client phone
    """
    from gateway.tls.folder import default_hosts

    where = _folder(folder, config)
    _check_names(hosts, clients)
    server = _configured_server(config)
    named = hosts or tuple(default_hosts(server.get("host")))
    with told(FileExistsError, OSError):
        made = where.init(list(named), list(dict.fromkeys(clients)), days)
    if as_json:
        print_json(made)
    else:
        click.echo(_told_init(made, where, server.get("port", "8080")))


@command.command("client")
@click.argument("name")
@_DIR
@_days
@config_option
@json_option
def client(name: str, folder: Path | None, days: int, config: str | None, as_json: bool) -> None:
    """Make a certificate for another caller, NAME. Needs ca.key; overwrites nothing.

    Give the caller ca.crt, client-NAME.crt and client-NAME.key, over a way that nobody reads.
    To shut a caller out, revoke its API key; certificates end only at their date, or with the CA.

    \b
    Example:
      brokergate tls client phone --days 90
    """
    from gateway.tls.authority import NotAnAuthority

    where = _folder(folder, config)
    _check_names((), (name,))
    with told(NotAnAuthority, FileExistsError, OSError):
        made = where.client(name, days)
    if as_json:
        print_json(made)
        return
    click.echo("Made:\n" + "".join(f"  {file}\n" for file in made.files))
    key, cert = where.path(f"client-{name}.key"), where.path(f"client-{name}.crt")
    click.echo(f"Use: --ca {where.path('ca.crt')} --client-cert {cert} --client-key {key}")


@command.command("renew")
@_DIR
@click.option("--host", "hosts", multiple=True, help="Name these instead of the names as before.")
@_days
@config_option
@json_option
def renew(
    folder: Path | None, hosts: tuple[str, ...], days: int, config: str | None, as_json: bool
) -> None:
    """Replace server.crt and server.key by new ones for the same names. Needs ca.key.

    A running gateway serves them within seconds. Callers need nothing new: the CA is the same.

    \b
    Example:
      brokergate tls renew
    """
    from gateway.tls.authority import NotAnAuthority

    where = _folder(folder, config)
    _check_names(hosts, ())
    with told(NotAnAuthority, OSError):
        made = where.renew(list(hosts) or None, days)
    if as_json:
        print_json(made)
        return
    click.echo(f"Renewed for {', '.join(made.hosts)}, until {made.server_ends_at}.")
    click.echo("A running gateway takes it up within seconds; its log says so.", err=True)


def _folder(given: Path | None, config: str | None) -> TlsFolder:
    from gateway.cli.configuration import find_config
    from gateway.tls.folder import TlsFolder

    if given is None:
        try:
            found = find_config(config)
        except Failure:
            found = None
        given = (found.absolute().parent if found is not None else Path.cwd()) / "tls"
    return TlsFolder(given.expanduser().absolute())


def _configured_server(config: str | None) -> dict[str, str]:
    """Where the gateway listens, as far as there is a configuration that says so.

    Only these values are wanted: a configuration that is not whole yet must not be in the way.
    """
    from gateway.cli.configuration import find_config
    from gateway.config.document import read_document

    try:
        path = find_config(config)
    except Failure:
        return {}
    server = read_document(path).tree.get("server") if path is not None else None
    given = server if isinstance(server, dict) else {}
    return {name: str(given[name]) for name in ("host", "port") if given.get(name)}


def _check_names(hosts: tuple[str, ...], clients: tuple[str, ...]) -> None:
    from gateway.tls.authority import CLIENT_NAME, check_host

    for host in hosts:
        if complaint := check_host(host):
            raise click.UsageError(f"--host {complaint}")
    for name in clients:
        if not CLIENT_NAME.fullmatch(name):
            raise click.UsageError(
                f"{name[:60]!r}: a client's name has 1 to 32 letters, digits, - and _"
            )


def _told_init(made: Made, where: TlsFolder, port: str) -> str:
    host = made.hosts[0].replace("*.", "gate.")
    address = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    ca, server = where.path("ca.crt"), where.path("server")
    files = "\n".join(f"  {file}" for file in made.files)
    cert, key = _client_words(where, made.clients[0]) if made.clients else ("", "")
    curl = f"--cert {cert} --key {key} " if made.clients else ""
    options = f" --client-cert {cert} --client-key {key}" if made.clients else ""
    return f"""Made, each with mode 0600:
{files}
The server's names are {", ".join(made.hosts)}; it is valid until {made.server_ends_at}.

Put this into brokergate.yaml and restart the gateway:

server:
  host: 0.0.0.0                  # or the one address that callers use
  tls:
    cert: {_yaml(server.with_suffix(".crt"))}
    key: {_yaml(server.with_suffix(".key"))}
    # The next two lines: only callers with a client certificate get in (mTLS).
    client_ca: {_yaml(ca)}
    client_verify: true

Then, on this machine:

  curl --cacert {_word(ca)} {curl}https://localhost:{port}/livez

and on a machine that was given these files, by a name above that it can reach:

  brokergate orders --url {address} --key-file KEY --ca {_word(ca)}{options}

Move {where.path("ca.key")} to a safe place: whoever has it can let himself in.
"""


def _client_words(where: TlsFolder, name: str) -> tuple[str, str]:
    return _word(where.path(f"client-{name}.crt")), _word(where.path(f"client-{name}.key"))


def _word(path: Path) -> str:
    return shlex.quote(str(path))


def _yaml(path: Path) -> str:
    text = str(path)
    plain = all(c.isalnum() or c in "/._-" for c in text)
    return text if plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
