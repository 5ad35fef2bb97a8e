"""What the gateway counts of itself, and how it is shown to Prometheus."""
