"""How calls to brokers are bounded: breakers, bulkheads, rate limits, retries."""
