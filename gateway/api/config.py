"""`POST /v1/config/reload`: run by the configuration as it stands in the file now."""

from __future__ import annotations

from gateway.api.routing import Answer, Call, Route
from gateway.reload import Reloaded, Reloader
from gateway.secrets.api_keys import Scope


class ConfigRoutes:
    def __init__(self, reloader: Reloader) -> None:
        self._reloader = reloader

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/v1/config/reload",
                scope=Scope.ADMIN,
                handler=self.reload,
                summary="Take accounts, groups and limits from the configuration file, all or none",
                tag="config",
                response=Reloaded,
            )
        ]

    async def reload(self, call: Call) -> Answer:
        call.assert_all_accounts("the configuration")
        return Answer(body=await self._reloader.reload(call.who.actor()))
