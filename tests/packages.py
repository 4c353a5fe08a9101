"""The contents of tests/packages.txt: which Debian package has a program, and which make targets install it."""

import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

LIST = Path(__file__).with_name("packages.txt")


@dataclass(frozen=True, slots=True)
class Package:
    """A line of the list."""

    name: str
    targets: frozenset[str]
    brings: tuple[str, ...]  # programs by name, other files by path


@cache
def packages() -> tuple[Package, ...]:
    """Return the packages in the list, in its order."""
    found = []
    for line in LIST.read_text().splitlines():
        if line.startswith("#"):
            continue
        left, _, right = line.partition(":")
        name, *targets = left.split()
        found.append(Package(name, frozenset(targets), tuple(right.split())))
    return tuple(found)


def package_of(program: str) -> Package | None:
    """Return the package in the list that has *program*, or None."""
    return next((package for package in packages() if program in package.brings), None)


def why_missing(program: str) -> str:
    """Return "" if *program* is installed, otherwise a sentence that names it and its package."""
    if shutil.which(program):
        return ""
    package = package_of(program)
    return f"{program} is not installed" + (f"; install the package {package.name}" if package else "")
