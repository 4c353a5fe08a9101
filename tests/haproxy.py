"""HAProxy, the program: what it says of a configuration."""

import subprocess
from pathlib import Path

from appliance.balancer import versions
from appliance.balancer.versions import Version
from tests.packages import why_missing

MISSING = why_missing("haproxy")
INSTALLED = ("haproxy",)


def version_of(command: tuple[str, ...]) -> Version:
    """Return the version that the HAProxy of *command* prints."""
    done = subprocess.run([*command, "-v"], capture_output=True, text=True, check=True)
    return versions.of_banner(done.stdout)


def judgement(text: str, directory: Path, command: tuple[str, ...] = INSTALLED) -> str:
    """Return all warnings and errors of HAProxy about the configuration *text*; "" if it accepts it without any."""
    path = directory / "haproxy.cfg"
    path.write_text(text)
    done = subprocess.run([*command, "-c", "-f", path], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    # Up to 2.8 it says so on success, too.
    is_accepted = done.returncode == 0 and "WARNING" not in said
    return "" if is_accepted else said or f"exit code {done.returncode}"
