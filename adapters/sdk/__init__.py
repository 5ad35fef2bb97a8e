"""The adapter kit: interface, models, errors, transport and simulator parts. Knows no broker and no gateway."""
