"""What the gateway promises, as figures over any window: from the journal and minute by minute."""
