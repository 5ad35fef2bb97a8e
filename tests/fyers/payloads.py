"""The anonymised Fyers payloads, as answers."""

from __future__ import annotations

from pathlib import Path

import adapters.fyers
from adapters.fyers.envelope import Envelope, decode_envelope
from adapters.sdk.transport import HttpResponse

FOLDER = Path(adapters.fyers.__file__).parent / "payloads"


def body(name: str) -> bytes:
    return (FOLDER / f"{name}.json").read_bytes()


def answer(name: str, status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(status, headers or {}, body(name))


def answer_of(text: str | bytes, status: int = 200) -> HttpResponse:
    return HttpResponse(status, {}, text.encode() if isinstance(text, str) else text)


def envelope_of(response: HttpResponse) -> Envelope:
    return decode_envelope(response.status, response.headers, response.body)
