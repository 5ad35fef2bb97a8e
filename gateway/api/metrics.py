"""`/metrics`: the gateway's own figures for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.api.routing import Answer, Call, Route
from gateway.kill import KillSwitch
from gateway.observability.tally import Tally
from gateway.orchestrator.account import Account
from gateway.secrets.api_keys import Scope
from gateway.store import Store


class MetricsRoutes:
    def __init__(
        self, tally: Tally, accounts: Mapping[str, Account], switch: KillSwitch, store: Store
    ) -> None:
        self._tally = tally
        self._accounts = accounts
        self._switch = switch
        self._store = store

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/metrics",
                scope=Scope.READ,
                handler=self.metrics,
                summary="The gateway's figures as Prometheus reads them",
                tag="health",
            )
        ]

    async def metrics(self, call: Call) -> Answer:
        # Loading it takes longer than serving it, and a gateway that nobody scrapes never does.
        from prometheus_client.exposition import choose_encoder
        from prometheus_client.registry import CollectorRegistry

        from gateway.observability.collector import GatewayCollector

        signed = await self._store.last_checkpoint()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(
            GatewayCollector(
                self._tally,
                self._accounts,
                self._switch,
                allows=call.who.allows,
                audit_head=await self._store.last_audit_seq(),
                checkpoint=signed[1] if signed is not None else None,
            )
        )
        encode, content_type = choose_encoder(call.headers.get("accept", ""))
        return Answer(body=encode(registry), content_type=content_type.encode())
