"""Reading one HTTP/1.1 answer from bytes. No I/O."""

from __future__ import annotations

import zlib

import httptools

from adapters.sdk.transport.http import HttpResponse

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_HEAD_BYTES = 256 * 1024

NO_BODY = frozenset({204, 304})


class AnswerBroken(Exception):
    """The bytes are not a whole answer. How far it got is in the reader's `head_complete`."""


class AnswerReader:
    """Collects one answer, skipping interim (1xx) ones.

    `head_complete`: status line and all headers arrived. `complete`: so did the body.
    `reusable`: the connection may carry another request, because the answer ended where it
    said, nothing came after it, and neither side asked to close.
    """

    __slots__ = (
        "_body",
        "_body_bytes",
        "_fed_bytes",
        "_headers",
        "_is_chunked",
        "_is_head",
        "_max_body_bytes",
        "_parser",
        "_problem",
        "_until_close",
        "complete",
        "head_complete",
        "reusable",
        "status",
    )

    def __init__(self, *, is_head: bool = False, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self.status = 0
        self.head_complete = False
        self.complete = False
        self.reusable = False
        self._is_head = is_head
        self._is_chunked = False
        self._max_body_bytes = max_body_bytes
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._fed_bytes = 0
        self._until_close = False
        self._problem: str | None = None
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises `AnswerBroken`."""
        self._fed_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.reusable = False
            if self.complete and self._problem is None:
                # The answer itself is whole; what follows it is not ours to understand.
                return
            raise AnswerBroken(self._problem or f"not HTTP/1.1 ({error})") from error
        if self._problem is not None:
            raise AnswerBroken(self._problem)
        if self.complete:
            self.reusable = self.reusable and self._ends_with_answer(data)
        elif not self.head_complete:
            if self._fed_bytes > MAX_HEAD_BYTES:
                raise AnswerBroken("headers too large")
        elif self._fed_bytes > 2 * self._max_body_bytes + MAX_HEAD_BYTES:
            raise AnswerBroken("answer too large")

    def finish(self) -> None:
        """Take the end of the connection. Raises `AnswerBroken` unless it completes the answer."""
        if self.head_complete and self._until_close and not self.complete:
            self.complete = True
            self.reusable = False
        if not self.complete:
            raise AnswerBroken("the connection ended before the answer did")

    def response(self) -> HttpResponse:
        """Return the complete answer, its body decoded. Raises `AnswerBroken`."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in self._headers:
            name = raw_name.decode("latin-1").lower()
            value = raw_value.decode("latin-1").strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        coding = headers.get("content-encoding", "").lower()
        if coding and coding != "identity" and body:
            body = decode_body(body, coding, self._max_body_bytes)
        return HttpResponse(self.status, headers, body)

    def close(self) -> None:
        """Let go of the parser, which holds this reader in turn: else only a collection of cyclic
        garbage, minutes later, would free the body. Nothing can be fed any more."""
        del self._parser

    def _ends_with_answer(self, data: bytes) -> bool:
        """Tell whether no blank line follows the answer; the parser would skip it silently."""
        if self._body and not self._is_chunked:
            return data.endswith(self._body[-1])
        return data.endswith(b"\r\n\r\n") and data[-5:-4] not in (b"\r", b"\n")

    def on_message_begin(self) -> None:
        if self.complete:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come here too, after the head: nothing in them is asked for.
        if not self.head_complete:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            return
        self.status = status
        self.head_complete = True
        if status < 200:
            self._problem = f"unexpected HTTP status {status}"
            return
        if self._is_head:
            self.complete = True
            return
        has_length = False
        for name, value in self._headers:
            lower = name.lower()
            if lower == b"content-length":
                has_length = True
            elif lower == b"transfer-encoding":
                self._is_chunked = value.strip().lower() == b"chunked"
                if not self._is_chunked:
                    self._problem = "unsupported transfer coding"
        self._until_close = not (has_length or self._is_chunked or status in NO_BODY)

    def on_body(self, data: bytes) -> None:
        if self.complete or self._problem is not None:
            return
        self._body_bytes += len(data)
        if self._body_bytes > self._max_body_bytes:
            self._problem = f"body larger than {self._max_body_bytes} bytes"
            self._body.clear()
            return
        self._body.append(data)

    def on_message_complete(self) -> None:
        if self.complete:
            return
        if not self.head_complete:
            self._headers.clear()
            return
        self.complete = True
        self.reusable = self._problem is None and self._parser.should_keep_alive()


def decode_body(body: bytes, coding: str, max_bytes: int) -> bytes:
    """Undo gzip or deflate. Raises `AnswerBroken`, also when the data stops early."""
    decoder = BodyDecoder(coding)
    decoded = decoder.decode(body, max_bytes + 1)
    if len(decoded) > max_bytes:
        raise AnswerBroken(f"body larger than {max_bytes} bytes")
    decoder.finish()
    return decoded


class BodyDecoder:
    """Undoes gzip or deflate piece by piece. Every method raises `AnswerBroken`."""

    def __init__(self, coding: str) -> None:
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise AnswerBroken("unsupported content coding")
        self._coding = coding
        self._zlib: zlib._Decompress | None = None

    def decode(self, data: bytes, max_bytes: int = 0) -> bytes:
        """Return what these bytes unpack to, at most `max_bytes` of it (0: all)."""
        if self._zlib is None:
            # "deflate" is zlib data by the standard and raw deflate from some servers.
            is_raw = self._coding == "deflate" and data[:1] and data[0] & 0x0F != 8
            self._zlib = zlib.decompressobj(-zlib.MAX_WBITS if is_raw else zlib.MAX_WBITS | 32)
        try:
            decoded = self._zlib.decompress(data, max_bytes)
        except zlib.error as error:
            raise AnswerBroken("body is not what its content coding says") from error
        if self._zlib.unused_data:
            raise AnswerBroken("compressed body continues after its end")
        return decoded

    def finish(self) -> None:
        """Make sure that the packed data came to its own end."""
        if self._zlib is None or not self._zlib.eof:
            raise AnswerBroken("compressed body is cut short")
