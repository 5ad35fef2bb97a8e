"""Everything that speaks a broker's wire protocol, and the kit it is built with (`sdk`)."""
