from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sdk.transport import HttpResponse
from adapters.sdk.transport.answer import MAX_HEAD_BYTES, AnswerBroken, AnswerReader

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def read(data: bytes, *, is_head: bool = False, ended: bool = False) -> HttpResponse:
    reader = AnswerReader(is_head=is_head)
    reader.feed(data)
    if ended:
        reader.finish()
    assert reader.complete
    return reader.response()


def test_answer_arriving_byte_by_byte_is_whole_only_at_its_last_byte() -> None:
    reader = AnswerReader()
    for position in range(len(OK) - 1):
        reader.feed(OK[position : position + 1])
        assert not reader.complete
    reader.feed(OK[-1:])
    assert reader.complete
    assert reader.reusable
    assert reader.response() == HttpResponse(200, {"content-length": "2"}, b"{}")


def test_head_is_complete_exactly_at_the_blank_line() -> None:
    head = OK.partition(b"{}")[0]
    reader = AnswerReader()
    reader.feed(head[:-1])
    assert not reader.head_complete
    reader.feed(head[-1:])
    assert reader.head_complete
    assert reader.status == 200


def test_interim_answers_are_skipped_with_their_headers() -> None:
    interim = b"HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n"
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert HttpResponse(200, {"content-length": "2"}, b"{}") == read(interim + hints + OK)


def test_interim_answer_alone_is_not_an_answer() -> None:
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert not reader.head_complete
    with pytest.raises(AnswerBroken):
        reader.finish()


def test_switching_protocols_is_broken() -> None:
    with pytest.raises(AnswerBroken):
        AnswerReader().feed(
            b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"
        )


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_body_end_at_the_head(status: int) -> None:
    assert b"" == read(b"HTTP/1.1 %d X\r\n\r\n" % status).body


def test_answer_to_head_has_no_body_and_leaves_the_connection_unused() -> None:
    reader = AnswerReader(is_head=True)
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    assert reader.complete
    assert not reader.reusable
    assert b"" == reader.response().body


def test_chunked_body_is_joined_and_trailers_are_dropped() -> None:
    answer = read(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1;x=y\r\n{\r\n1\r\n}\r\n0\r\nX-Trailer: t\r\n\r\n"
    )
    assert b"{}" == answer.body
    assert {"transfer-encoding": "chunked"} == answer.headers


def test_body_until_close_is_whole_at_the_end_of_the_connection() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    reader = AnswerReader()
    reader.feed(head + b"abc")
    assert not reader.complete
    reader.finish()
    assert b"abc" == reader.response().body
    assert not reader.reusable


@pytest.mark.parametrize(
    "cut",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n",
    ],
)
def test_cut_answer_is_broken_at_the_end_of_the_connection(cut: bytes) -> None:
    reader = AnswerReader()
    reader.feed(cut)
    assert not reader.complete
    with pytest.raises(AnswerBroken):
        reader.finish()


@pytest.mark.parametrize(
    "bad",
    [
        b"hello\r\n\r\n",
        b"<html></html>",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
    ],
)
def test_what_is_not_http_is_broken(bad: bytes) -> None:
    reader = AnswerReader()
    with pytest.raises(AnswerBroken):
        reader.feed(bad)
    assert not reader.reusable


def test_endless_headers_are_broken() -> None:
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(AnswerBroken, match="headers too large"):
        for _ in range(MAX_HEAD_BYTES // 1000 + 1):
            reader.feed(b"X: " + b"y" * 1000 + b"\r\n")


def test_big_headers_inside_the_limit_are_read() -> None:
    value = "y" * 100_000
    answer = read(OK.replace(b"\r\n\r\n", b"\r\nX-Big: " + value.encode() + b"\r\n\r\n"))
    assert value == answer.headers["x-big"]


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 11\r\n\r\n" + b"a" * 11, b"X: y\r\n\r\n" + b"a" * 11],
)
def test_body_over_the_limit_is_broken(framing: bytes) -> None:
    reader = AnswerReader(max_body_bytes=10)
    with pytest.raises(AnswerBroken, match="larger than 10"):
        reader.feed(b"HTTP/1.1 200 OK\r\n" + framing)


def test_endless_trailers_are_broken() -> None:
    reader = AnswerReader(max_body_bytes=10)
    reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    with pytest.raises(AnswerBroken, match="answer too large"):
        for _ in range(MAX_HEAD_BYTES // 1000 + 1):
            reader.feed(b"X: " + b"y" * 1000 + b"\r\n")


def test_repeated_headers_are_joined_under_a_lower_case_name() -> None:
    answer = read(OK.replace(b"\r\n\r\n", b"\r\nX-A: 1\r\nx-a: 2\r\n\r\n"))
    assert "1, 2" == answer.headers["x-a"]


def encoded(coding: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        coding,
        len(body),
        body,
    )


def raw_deflate(data: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return encoder.compress(data) + encoder.flush()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", gzip.compress(b"hello", mtime=0)),
        (b"X-GZIP", gzip.compress(b"hello", mtime=0)),
        (b"deflate", zlib.compress(b"hello")),
        (b"deflate", raw_deflate(b"hello")),
        (b"identity", b"hello"),
    ],
)
def test_content_codings_are_undone(coding: bytes, body: bytes) -> None:
    assert b"hello" == read(encoded(coding, body)).body


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", b"hello"),
        (b"gzip", gzip.compress(b"hello", mtime=0)[:-1]),
        (b"gzip", gzip.compress(b"hello", mtime=0) + b"x"),
        (b"deflate", b"\xff\xff"),
        (b"br", b"hello"),
    ],
)
def test_content_coding_that_cannot_be_undone_is_broken(coding: bytes, body: bytes) -> None:
    with pytest.raises(AnswerBroken):
        read(encoded(coding, body))


def test_body_that_unpacks_beyond_the_limit_is_broken() -> None:
    reader = AnswerReader(max_body_bytes=1000)
    reader.feed(encoded(b"gzip", gzip.compress(b"\0" * 100_000, mtime=0)))
    with pytest.raises(AnswerBroken, match="larger than 1000"):
        reader.response()


@pytest.mark.parametrize(
    "extra", [b"\r\n", b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"\0\xff" * 50]
)
def test_bytes_after_an_answer_keep_it_and_end_the_reuse(extra: bytes) -> None:
    empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    reader = AnswerReader()
    reader.feed(empty + extra)
    assert reader.complete
    assert not reader.reusable
    assert HttpResponse(200, {"content-length": "0"}, b"") == reader.response()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_server_that_wants_to_close_is_not_asked_again(answer: bytes) -> None:
    reader = AnswerReader()
    reader.feed(answer)
    assert reader.complete
    assert not reader.reusable


http_like = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"HTTP/1.1 200 OK\r\n",
                b"HTTP/1.1 100 Continue\r\n\r\n",
                b"HTTP/1.0 500 X\r\n",
                b"Content-Length: 2\r\n",
                b"Content-Encoding: gzip\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Connection: close\r\n",
                b"Upgrade: x\r\n",
                b"\r\n",
                b"{}",
                b"2\r\n{}\r\n",
                b"0\r\n\r\n",
                gzip.compress(b"{}", mtime=0),
            ]
        ),
        st.binary(max_size=20),
    ),
    max_size=12,
).map(b"".join)


@given(st.lists(st.one_of(st.binary(max_size=200), http_like), max_size=5), st.booleans())
def test_any_bytes_are_an_answer_or_broken(pieces: list[bytes], is_head: bool) -> None:
    reader = AnswerReader(is_head=is_head)
    try:
        for piece in pieces:
            if reader.complete:
                break
            reader.feed(piece)
        if not reader.complete:
            reader.finish()
        response = reader.response()
    except AnswerBroken:
        assert not (reader.reusable and not reader.complete)
    else:
        assert isinstance(response, HttpResponse)
        assert 200 <= response.status <= 999


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_after_an_answer_end_the_reuse(extra: bytes) -> None:
    reader = AnswerReader()
    reader.feed(OK + extra)
    assert b"{}" == reader.response().body
    assert not reader.reusable
