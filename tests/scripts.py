"""Python scripts in a separate process, for tests that kill it or limit its disk."""

import subprocess
import sys
import textwrap
from pathlib import Path


def run(script: str, *arguments: str) -> str:
    """Run *script*, which must succeed; return its output."""
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
