"""The wheel, built, and installed in an empty virtual environment as an operator would."""

import atexit
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).parents[1]


@cache
def installed_wheel() -> Path:
    """Return a virtual environment with the wheel and its dependencies; it is made once for the whole run."""
    directory = Path(tempfile.mkdtemp(prefix="appliance-wheel-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    # mkdtemp makes directories that only their owner can enter; the service's user must be able to.
    directory.chmod(0o755)
    dist = directory / "dist"
    _run(sys.executable, "-m", "build", "--wheel", "--outdir", dist, PROJECT)
    (wheel,) = dist.glob("*.whl")
    environment = directory / "venv"
    # Without pip: Debian's Python can only install it when the package python3-venv is there.
    _run(_interpreter(), "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    _run(sys.executable, "-m", "pip", "--python", python, "--quiet", "--disable-pip-version-check", "install", wheel)
    return environment


def _interpreter() -> Path:
    """Return a Python that every user can run: this one, or the system's if this one is in a home directory."""
    ours = Path(sys.executable).resolve()
    return Path("/usr/bin/python3") if ours.is_relative_to(Path.home()) else ours


def _run(*words: str | Path) -> None:
    done = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, words))}: exit {done.returncode}:\n{done.stdout}{done.stderr}")
