"""Stopping works while the configuration is being edited, whatever is wrong with it."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Program
from tests.cli.conftest import program as program  # the fixture
from tests.cli.test_practice import Practice

BROKEN = {
    "an_unknown_key": "data_dir: {data}\nacounts: []\n",
    "no_yaml": "data_dir: '{data}'  # where\naccounts: [\n",
    "a_wrong_value": 'server: {{port: "many"}}\ndata_dir: "{data}"\n',
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_running_gateway_is_stopped(program: Program, case: str) -> None:
    practice = Practice(program, "mstock")
    try:
        broken = program.folder / "broken.yaml"
        broken.write_text(BROKEN[case].format(data="data"))
        done = program.run("--config", str(broken), "kill", "engage", "--reason", "now")
        assert (0, "") == (done.returncode, done.stderr)
        engaged = program.json("kill", "status")
        assert engaged["engaged"]
        assert "now" == engaged["switches"][0]["reason"]
    finally:
        practice.stop()


@pytest.mark.parametrize("case", BROKEN)
def test_without_a_gateway_the_file_is_written(program: Program, case: str) -> None:
    broken = program.folder / "broken.yaml"
    broken.write_text(BROKEN[case].format(data="elsewhere"))
    done = program.run("--config", str(broken), "kill", "engage")
    assert 0 == done.returncode, done.stderr
    assert (program.folder / "elsewhere" / "KILL").exists()


def test_without_a_data_directory_the_mistake_is_told(program: Program) -> None:
    broken = program.folder / "broken.yaml"
    broken.write_text("acounts: []\n")
    done = program.run("--config", str(broken), "kill", "engage")
    assert 0 != done.returncode
    assert "acounts" in done.stderr
