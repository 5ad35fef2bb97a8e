"""Acme against the conformance suite."""

from __future__ import annotations

from brokergate_acme import PLUGIN

from adapters.sdk.conformance import AdapterConformance


class TestAcme(AdapterConformance):
    plugin = PLUGIN
    unproven_success = ('{"ok":true}', '{"ok":true,"data":{}}', '{"ok":true,"data":{"id":""}}')
