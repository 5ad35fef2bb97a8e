"""What both clients are made with."""

from __future__ import annotations

from typing import Self

from gateway.client.steps import Policy
from gateway.client.wire import Place


class Base:
    """Where the gateway is and how long to repeat; how it is talked to is the clients' own."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        policy: Policy | None = None,
        ca: str | None = None,
        certificate: tuple[str, str] | None = None,
    ) -> None:
        self._set_up(Place(url, key, ca=ca, certificate=certificate), policy)

    @classmethod
    def from_environment(cls, policy: Policy | None = None) -> Self:
        """Read BROKERGATE_URL (http://127.0.0.1:8080), and BROKERGATE_KEY or BROKERGATE_KEY_FILE;
        BROKERGATE_CA_FILE for a certificate that the system does not know.
        """
        made = cls.__new__(cls)
        made._set_up(Place.from_environment(), policy)
        return made

    def _set_up(self, place: Place, policy: Policy | None) -> None:
        self._place = place
        self._policy = policy or Policy()
        self._connect(place)

    def _connect(self, place: Place) -> None:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._place.url!r})"
