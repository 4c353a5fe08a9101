"""A test that cannot run is skipped with its name and a reason; with APPLIANCE_NO_SKIPS the run then fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
SKIPPED = """
import pytest

def test_that_runs(): ...

@pytest.mark.skipif(True, reason="no such thing here")
def test_that_cannot(): ...
"""
SKIPPED_WHOLE = "import pytest\npytest.importorskip('no_such_module')\n"


def run(directory: Path, text: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    path = directory / "test_example.py"
    path.write_text(text)
    kept = {name: value for name, value in os.environ.items() if name != "APPLIANCE_NO_SKIPS"}
    options = ["-q", "--no-fold-skipped", "-c", "pyproject.toml", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, path],
        cwd=PROJECT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_skip_is_reported_with_name_and_reason_and_passes(tmp_path: Path) -> None:
    done = run(tmp_path, SKIPPED)
    assert done.returncode == 0, done.stdout
    assert "::test_that_cannot - Skipped: no such thing here\n" in done.stdout


@pytest.mark.parametrize("text", [SKIPPED, SKIPPED_WHOLE], ids=["one-test", "whole-file"])
def test_a_skip_fails_where_everything_must_run(tmp_path: Path, text: str) -> None:
    done = run(tmp_path, text, APPLIANCE_NO_SKIPS="1")
    assert done.returncode == (1 if text == SKIPPED else 5), done.stdout
    assert "1 skipped: all tests must run here, so this run fails" in done.stdout


def test_a_run_without_skips_passes_there(tmp_path: Path) -> None:
    assert run(tmp_path, "def test_that_runs(): ...\n", APPLIANCE_NO_SKIPS="1").returncode == 0


def test_ci_is_such_a_place() -> None:
    text = (PROJECT / ".ci" / "run").read_text()
    assert "pytest --no-fold-skipped" in (PROJECT / "Makefile").read_text()
    assert "export APPLIANCE_NO_SKIPS=1\nexec make test\n" in text
    assert os.access(PROJECT / ".ci" / "run", os.X_OK)
