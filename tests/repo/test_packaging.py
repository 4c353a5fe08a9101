"""The wheel, installed in an empty virtual environment and run in an empty directory."""

import subprocess
from pathlib import Path

import pytest

from appliance import __version__
from tests.wheel import PROJECT, installed_wheel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def environment() -> Path:
    return installed_wheel()


def _run(environment: Path, directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = environment / "bin" / "ocp-appliance"
    return subprocess.run(
        [program, *words], cwd=directory, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )


def _share(environment: Path, name: str) -> Path:
    (found,) = environment.glob(f"lib/python3.*/site-packages/appliance/_share/{name}")
    return found


def test_installed_program_prints_its_version(environment: Path, tmp_path: Path) -> None:
    done = _run(environment, tmp_path, "--version")
    assert done.stdout == f"ocp-appliance, version {__version__}\n", done.stderr


def test_installed_program_validates_the_packaged_example(environment: Path, tmp_path: Path) -> None:
    example = _share(environment, "data") / "ocp45" / "cluster.yaml"
    done = _run(environment, tmp_path, "validate", str(example))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["ipxe", "data", "systemd"])
def test_wheel_carries_every_file_of(environment: Path, name: str) -> None:
    def files(directory: Path) -> set[str]:
        return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}

    assert files(_share(environment, name)) == files(PROJECT / name)


def test_wheel_says_that_it_is_typed(environment: Path) -> None:
    assert (_share(environment, "ipxe").parents[1] / "py.typed").is_file()


def test_installed_program_leaves_nothing_where_it_runs(environment: Path, tmp_path: Path) -> None:
    example = _share(environment, "data") / "ocp45" / "cluster.yaml"
    _run(environment, tmp_path, "validate", str(example))
    assert list(tmp_path.iterdir()) == []
