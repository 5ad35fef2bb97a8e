"""The floor: nginx as a plain reverse proxy to the same simulators, on the gateway's core."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.direct import DirectCall
from benchmarks.fleet import end_process
from benchmarks.machine import Cores
from gateway.cli.ports import free_port

_HOST = "127.0.0.1"
_START_S = 10.0
_HEAD = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 10000000;
"""
_SERVER = """\
    upstream {name} {{ server {to}; keepalive 64; keepalive_requests 10000000; }}
    server {{
        listen {host}:{port};
        location / {{
            proxy_pass http://{name};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
"""


class Floor:
    """nginx with one port per broker. Use with `with`. `calls` is empty where there is no nginx."""

    def __init__(self, direct: Mapping[str, DirectCall], folder: Path, cores: Cores) -> None:
        self._folder = folder / "nginx"
        self._cores = cores
        self._process: subprocess.Popen[bytes] | None = None
        self._program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        self.calls: dict[str, DirectCall] = {}
        if self._program is not None:
            self.calls = {name: call.by(_HOST, free_port(_HOST)) for name, call in direct.items()}
        self._direct = direct

    def __enter__(self) -> Floor:
        if self._program is None:
            return self
        self._folder.mkdir()
        config = self._folder / "nginx.conf"
        config.write_text(self._config())
        with self._cores.on(self._cores.server):
            self._process = subprocess.Popen([self._program, "-p", self._folder, "-c", config])
        try:
            for call in self.calls.values():
                _wait_for(call.port)
        except TimeoutError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            end_process(self._process)
            self._process = None

    def _config(self) -> str:
        # Started by root, nginx would become a user who may not enter the folder.
        user = "user root;" if os.geteuid() == 0 else ""
        servers = [
            _SERVER.format(
                name=name,
                to=f"{self._direct[name].host}:{self._direct[name].port}",
                host=_HOST,
                port=call.port,
            )
            for name, call in self.calls.items()
        ]
        return _HEAD.format(folder=self._folder, user=user) + "".join(servers) + "}\n"


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection((_HOST, port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError("nginx did not start; its log may say why") from None
            time.sleep(0.02)
