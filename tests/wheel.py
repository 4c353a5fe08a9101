"""The wheel, built and installed as an operator would: into an empty virtual environment."""

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
    """Return a virtual environment that holds the wheel and what it depends on, once for the whole run."""
    directory = Path(tempfile.mkdtemp(prefix="appliance-wheel-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    # A service's user has to reach it, and mkdtemp lets nobody in.
    directory.chmod(0o755)
    dist = directory / "dist"
    _run(sys.executable, "-m", "build", "--wheel", "--outdir", dist, PROJECT)
    (wheel,) = dist.glob("*.whl")
    environment = directory / "venv"
    # Without a pip of its own, which Debian's Python cannot put there unless python3-venv is installed.
    _run(_interpreter(), "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    _run(sys.executable, "-m", "pip", "--python", python, "--quiet", "--disable-pip-version-check", "install", wheel)
    return environment


def _interpreter() -> Path:
    """Return a Python that any user can run: ours, or the system's where ours lies in a home directory (as pyenv's)."""
    ours = Path(sys.executable).resolve()
    return Path("/usr/bin/python3") if ours.is_relative_to(Path.home()) else ours


def _run(*words: str | Path) -> None:
    done = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, words))}: exit {done.returncode}:\n{done.stdout}{done.stderr}")
