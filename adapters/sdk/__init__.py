"""The adapter kit: interface, models, errors, transport, simulator. Knows no broker."""
