"""The listener's certificates: checked before use, watched for renewal, made where there are none.

Importing this package loads x509, which only a gateway with TLS and the `tls` commands need.
"""

from gateway.tls.checks import (
    Finding,
    Pair,
    client_ca_findings,
    client_crl_findings,
    pair_findings,
    read_pair,
)

__all__ = [
    "Finding",
    "Pair",
    "client_ca_findings",
    "client_crl_findings",
    "pair_findings",
    "read_pair",
]
