"""The audit log looked after: signed in time, published, checked, shortened."""

from gateway.audit.keeper import AuditKeeper

__all__ = ["AuditKeeper"]
