"""The tamper-evident log: written in the transaction of what it tells of, checked by anybody.

Each row carries an HMAC over itself and the row before it, under a key that the vault keeps. A
second chain, of plain SHA-256, runs beside it and is signed now and then: a row of the kind
`checkpoint` holds the hash of everything before it and an Ed25519 signature. So whoever opens
the vault can check every row, and whoever has the public key can check an export.
"""

from gateway.store.audit.chain import AuditChain
from gateway.store.audit.checkpoint import CHECKPOINT, Checkpoint, Signer
from gateway.store.audit.rows import (
    AuditRow,
    RowFilter,
    last_seq,
    rows_after,
    rows_from,
    seq_at,
)
from gateway.store.audit.verdict import Fault, Verdict

__all__ = [
    "CHECKPOINT",
    "AuditChain",
    "AuditRow",
    "Checkpoint",
    "Fault",
    "RowFilter",
    "Signer",
    "Verdict",
    "last_seq",
    "rows_after",
    "rows_from",
    "seq_at",
]
