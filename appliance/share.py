"""Where the templates, examples and systemd units are: in the wheel, or at the top of a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def share(name: str) -> Path:
    """Return the directory *name* ("ipxe", "data" or "systemd") of this installation."""
    packaged = _PACKAGE / "_share" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name
