"""What a person's browser and phone do during a login, against a simulator on this machine."""

from __future__ import annotations

import http.client
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from gateway.cli.failure import Failure
from gateway.cli.simulators import SimulatorInfo

_TIMEOUT_S = 10.0


def read_otp(simulator: SimulatorInfo) -> str:
    """Read the one-time password that the owner's phone would show. Raises `Failure`."""
    _, _, body = _send("GET", f"{simulator.control_url}/_sim/otp")
    otp = msgspec.json.decode(body).get("otp")
    if not otp:
        raise Failure(f"the {simulator.title} simulator sent no one-time password")
    return str(otp)


def follow_login_page(url: str, simulator: SimulatorInfo) -> str:
    """Open a login page, type the one-time password, and return where it redirects to.

    Raises `Failure` where the page is no form or does not take the password.
    """
    status, _, body = _send("GET", url)
    form = _Form()
    form.feed(body.decode())
    if form.action is None:
        raise Failure(f"the login page of {simulator.title} answered HTTP {status} without a form")
    fields = {**form.fields, "otp": read_otp(simulator)}
    status, location, _ = _send("POST", urljoin(url, form.action), urlencode(fields).encode())
    if location is None:
        raise Failure(f"the login page of {simulator.title} answered HTTP {status}, no redirect")
    return location


class _Form(HTMLParser):
    """The first form of a page: where it goes, and the fields that are filled in already."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form" and self.action is None:
            self.action = given.get("action") or ""
        if tag == "input" and (name := given.get("name")):
            self.fields[name] = given.get("value") or ""


def _send(method: str, url: str, body: bytes | None = None) -> tuple[int, str | None, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    headers = {"Accept": "text/html, application/json"}
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location"), answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"the simulator at {parts.netloc} does not answer: {error}") from error
    finally:
        connection.close()
