from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Program, read_until


class Demo:
    """`brokergate demo` in a process of its own, and a shell to talk to it.

    The shell runs a page's commands unchanged. What differs from a reader's is in the
    environment: curl is told, by a file in its home, to print the status behind the answer.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        process = program.start("demo", "--port", "0")
        try:
            text = "\n".join(read_until(process, "Ctrl-C ends the demo"))
        except AssertionError as error:
            raise AssertionError(f"the demo did not start: {program.log()}") from error
        self.gate = re.search(r"http://[\d.:]+", text.rpartition("Serving on ")[2])[0]
        self.key = re.search(r"bg_live_\w+", text)[0]
        [self.socket] = program.scratch.glob("*/data/control.sock")
        (program.folder / ".curlrc").write_text('write-out = "\\n%{http_code}"\n')

    def shell(self, command: str, **variables: str) -> tuple[int, str]:
        """Run a command that calls the API once; return the status and the body of the answer."""
        done = subprocess.run(
            ["bash", "-euc", command],
            env={
                **self.program.environ,
                "CURL_HOME": str(self.program.folder),
                "GATE": self.gate,
                "KEY": self.key,
                "SOCKET": str(self.socket),
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body


@pytest.fixture
def demo() -> Iterator[Demo]:
    folder = Path(tempfile.mkdtemp(prefix="bg-docs-"))
    program = Program(folder)
    try:
        yield Demo(program)
    finally:
        program.stop_all()
        shutil.rmtree(folder)
