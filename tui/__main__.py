"""Run the console on its own: `brokergate console` starts this in a process without the gateway."""

from __future__ import annotations

import argparse
import ssl
import sys
from pathlib import Path

import msgspec


def main(arguments: list[str] | None = None) -> int:
    """Run until the person leaves. Returns the exit status."""
    given = _parser().parse_args(arguments)
    from tui.app import Console
    from tui.link import Where

    if given.socket:
        where = Where(socket=given.socket)
    else:
        where = Where(
            host=given.host,
            port=given.port,
            tls=_tls(given) if given.tls else None,
            key=Path(given.key_file).read_text(encoding="ascii").strip(),
        )
    keys = {}
    if given.keys:
        keys = msgspec.json.decode(Path(given.keys).read_bytes(), type=dict[str, str])
    console = Console(where, read_only=given.read_only, theme=given.theme, keys=keys)
    console.run(mouse=not given.no_mouse)
    return console.return_code or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tui", description=__doc__)
    parser.add_argument("--socket")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--ca", default=None)
    parser.add_argument("--cert", default=None)
    parser.add_argument("--cert-key", default=None)
    parser.add_argument("--key-file", default="/dev/null")
    parser.add_argument("--keys", default=None)
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--read-only", action="store_true")
    parser.add_argument("--no-mouse", action="store_true")
    return parser


def _tls(given: argparse.Namespace) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=given.ca)
    if given.cert:
        context.load_cert_chain(given.cert, given.cert_key)
    return context


if __name__ == "__main__":
    sys.exit(main())
