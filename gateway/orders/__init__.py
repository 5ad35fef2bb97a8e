"""What an order is here: states, journalled records, ids, fingerprint. No I/O."""
