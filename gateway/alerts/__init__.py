"""Alerts: what a person should hear of, told to webhooks and by e-mail.

Fed from the audit log by a cursor and kept in a queue of its own, so that nothing here is ever part
of an order's transaction, and no receiver can slow an order.
"""
