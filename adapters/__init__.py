"""Everything that speaks a broker's wire protocol, and the kit (`adapters.sdk`) it is built with."""
