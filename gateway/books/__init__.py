"""What brokers say of an account: read side by side, kept after the close, compared with ours."""
