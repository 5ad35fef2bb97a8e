"""Every way in which the answer to a write gets lost, as data."""

from __future__ import annotations

from typing import Any, NamedTuple

_JSON = "application/json"


class Loss(NamedTuple):
    """One way in which the answer to a write is lost, and whether the exchange has the write."""

    name: str
    action: str
    params: dict[str, Any]
    taken: bool
    hangs: bool = False


LOSSES = (
    Loss("reset_when_the_request_came", "reset_before_read", {}, False),
    Loss("reset_before_the_broker_took_it", "reset_before_accept", {}, False),
    Loss("reset_after_the_broker_took_it", "accept_then_reset", {}, True),
    Loss("closed_after_the_broker_took_it", "accept_then_close", {}, True),
    Loss("never_answered_and_not_taken", "hang", {}, False, hangs=True),
    Loss("never_answered_and_taken", "accept_then_hang", {}, True, hangs=True),
    Loss("taken_after_the_client_gave_up", "accept_late", {"ms": 1}, True, hangs=True),
    *(
        Loss(f"http_{status}_and_not_taken", "status", {"status": status}, False)
        for status in (500, 502, 503, 504)
    ),
    *(
        Loss(f"http_{status}_and_taken", "accept_then_status", {"status": status}, True)
        for status in (500, 502, 503, 504)
    ),
    *(
        Loss(f"proxy_page_{status}_and_taken", "accept_then_status", {"status": status}, True)
        for status in (403, 404, 408, 429)
    ),
    Loss("http_500_with_json_and_taken", "accept_then_status",
         {"status": 500, "body": '{"status":"error","message":"failed"}', "content_type": _JSON},
         True),
    Loss("html_with_200", "accept_then_html", {}, True),
    Loss("empty_with_200", "accept_then_empty", {}, True),
    Loss("empty_with_204", "accept_then_empty", {"status": 204}, True),
    Loss("json_cut_short", "accept_then_truncated", {}, True),
    Loss("one_byte_of_json", "accept_then_truncated", {"bytes": 1}, True),
    Loss("ends_inside_its_length", "accept_then_truncated", {"length": "full"}, True),
    Loss("reset_in_the_head_of_the_answer", "reset_at_byte", {"bytes": 12}, True),
    Loss("reset_in_the_body_of_the_answer", "reset_at_byte", {"bytes": 80}, True),
)  # fmt: skip
# A 2xx that names no order: the shapes that any broker's front may produce.
NO_ID = ("{}", "[]", "null", "true", '"ok"', "0", '{"status":"success"}', '{"data":null}')
