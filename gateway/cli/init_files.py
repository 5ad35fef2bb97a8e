"""The files that `brokergate init` writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_CONFIG = """\
# brokergate. Every key can also be set by environment: BROKERGATE_SERVER__PORT=9000.
# Credentials never stand here: brokergate vault set ACCOUNT. All settings with their defaults
# are in config/brokergate.example.yaml of the project.

# Journal, vault, sessions. Relative to this file.
data_dir: ./data

server:
  host: 127.0.0.1       # other machines reach anything else: that needs tls {cert, key}
  port: 8080
"""

_NO_ACCOUNTS = """
# One entry per broker login. Orders name accounts by id, or a group of them as @family.
accounts: []
#  - id: fyers-main
#    broker: fyers       # fyers | mstock | hdfc
#  - id: mstock-main
#    broker: mstock
#    login: otp          # otp | totp
#
# groups:
#   family: {fyers-main: 1, mstock-main: "0.5"}
"""

_ACCOUNTS = """
# One entry per broker login. Orders name accounts by id, or a group of them as @all.
accounts:
"""

_UNIT = """\
# Install: cp {folder}/brokergate.service /etc/systemd/system/ && systemctl enable --now brokergate
[Unit]
Description=brokergate order gateway
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
NotifyAccess=all
User={user}
ExecStart={program} serve --config {folder}/brokergate.yaml
ExecReload={program} config reload --config {folder}/brokergate.yaml
WorkingDirectory={folder}
{credential}Restart=on-failure
RestartSec=2
TimeoutStopSec=20
UMask=0077
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={folder}/data
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
LockPersonality=yes
LimitCORE=0

[Install]
WantedBy=multi-user.target
"""


def config_text(brokers: Sequence[str]) -> str:
    """Write a configuration with an account `BROKER-main` of each broker, or with examples."""
    if not brokers:
        return _CONFIG + _NO_ACCOUNTS
    names = list(dict.fromkeys(brokers))
    accounts = "".join(f"  - id: {name}-main\n    broker: {name}\n" for name in names)
    members = ", ".join(f"{name}-main: 1" for name in names)
    return f"{_CONFIG}{_ACCOUNTS}{accounts}\ngroups:\n  all: {{{members}}}\n"


def unit_text(program: str, user: str, folder: Path, key: Path | None) -> str:
    """Write a systemd unit; `key` is handed over as a credential, which only the service reads."""
    credential = f"LoadCredential=brokergate-master-key:{key}\n" if key is not None else ""
    return _UNIT.format(program=program, user=user, folder=folder, credential=credential)
