"""Latency, throughput, memory and start-up of the gateway, against calling the brokers directly.

`python -m benchmarks` runs it all (see docs/benchmarks.md); `python -m benchmarks.transport`
looks at the HTTP clients alone.
"""
