"""Both clients against a gateway with TLS, and with certificates for clients."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.client import AsyncClient, Client, FixRequest, GatewayError, Policy
from tests.client.test_orders import ORDER
from tests.gateway.rig import Rig
from tests.tls.files import Folder
from tests.tls.gate import Gate

ONCE = Policy(retry_for_s=0.0)


async def test_certificate_of_the_named_authority_is_trusted_and_no_other(
    tmp_path: Path,
) -> None:
    folder, stranger = Folder(tmp_path / "tls"), Folder(tmp_path / "stranger")
    cert, key = folder.server()
    async with (
        Rig(tmp_path / "data", brokers=("fyers",)) as rig,
        Gate(rig.gateway.app(), tmp_path / "gate", cert=cert, key=key) as gate,
    ):
        url = f"https://127.0.0.1:{gate.port}"
        async with AsyncClient(url, rig.key, ca=str(folder.ca)) as client:
            assert (await client.place(**ORDER)).accepted
        with Client(url, rig.key, ca=str(folder.ca)) as blocking:
            assert await asyncio.to_thread(blocking.sessions)
        for ca in (str(stranger.ca), None):
            async with AsyncClient(url, rig.key, ca=ca) as client:
                with pytest.raises(FixRequest, match="not trusted"):
                    await client.place(**ORDER)
        assert 1 == len(rig.ledger("fyers"))


async def test_gateway_that_wants_a_certificate_gets_one(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "tls")
    cert, key = folder.server()
    mine = tuple(map(str, folder.client()))
    tls = {"cert": cert, "key": key, "client_ca": folder.ca}
    async with (
        Rig(tmp_path / "data", brokers=("fyers",)) as rig,
        Gate(rig.gateway.app(), tmp_path / "gate", **tls) as gate,
    ):
        url = f"https://127.0.0.1:{gate.port}"
        async with AsyncClient(url, rig.key, ca=str(folder.ca), certificate=mine) as client:  # type: ignore[arg-type]
            assert (await client.place(**ORDER)).accepted
        async with AsyncClient(url, rig.key, ca=str(folder.ca), policy=ONCE) as client:
            with pytest.raises(GatewayError):
                await client.place(**ORDER)
        assert 1 == len(rig.ledger("fyers"))
