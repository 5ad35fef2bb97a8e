"""What happens, as it happens: the audit log read as a stream that can be taken up again."""
