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
    _run(sys.executable, "-m", "venv", environment)
    _run(environment / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install", wheel)
    return environment


def _run(*words: str | Path) -> None:
    done = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, words))}: exit {done.returncode}:\n{done.stdout}{done.stderr}")
