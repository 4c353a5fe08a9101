"""Python run in a process of its own, for tests that kill it or take its disk away."""

import subprocess
import sys
import textwrap
from pathlib import Path


def run(script: str, *arguments: str) -> str:
    """Return what *script* prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
