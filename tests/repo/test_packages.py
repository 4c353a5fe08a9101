"""Every program that the tests and the bench run is in tests/packages.txt, for the make target that runs it.

A developer's machine has more programs than a fresh image, so a package that is not
listed for a target would only be missed on a fresh image.
"""

import ast
from pathlib import Path

import pytest

from tests.packages import package_of, packages, why_missing

TESTS = Path(__file__).parents[1]
TARGETS = {"demo", "check", "test", "bench", "venv"}
# The tests of `make check`, which excludes slow tests and the programs that only these need.
QUICK = ("unit", "property", "golden", "fuzz", "repo")
# Every Debian machine has these: they are in essential packages, or come with python3 or make.
EVERYWHERE = {
    "apt-get",
    "bash",
    "cat",
    "dpkg",
    "env",
    "make",
    "nsenter",
    "python3",
    "setpriv",
    "sh",
    "taskset",
    "true",
    "unshare",
}
# Functions whose first argument is the program to run, or a command that begins with it: functions of the
# standard library anywhere, and functions of the labs in the folders that have labs.
STANDARD_RUNNERS = {"subprocess.run", "subprocess.Popen", "subprocess.check_output", "shutil.which"}
LAB_RUNNERS = {"run", "start", "load", "load_command", "wait_until"}
LABS = {"bench", "netns", "vm"}
# Names of protocols that are also names of programs: in these targets the protocol is meant.
PROTOCOLS = {"check": {"ip", "tftp"}, "bench": {"tftp"}}
# The examples in this file.
UNREAD = {Path(__file__).name}


def sources() -> list[tuple[str, Path]]:
    """Return each Python file below tests/, with the target that runs it."""
    found = []
    for path in sorted(TESTS.rglob("*.py")):
        folder = path.relative_to(TESTS).parts[0]
        is_slow = "mark.slow" in path.read_text()
        target = "bench" if folder == "bench" else "check" if folder in QUICK and not is_slow else "test"
        if path.name not in UNREAD:
            found.append((target, path))
    return found


def texts(text: str) -> set[str]:
    """Return every string literal of a Python file, since a program can be anywhere in a command."""
    return {
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def programs_run(text: str, *, has_lab: bool = False) -> set[str]:
    """Return the string literals that a Python file passes as the program to a function that runs it."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Call) and node.args):
            continue
        called = ast.unparse(node.func)
        is_runner = called in STANDARD_RUNNERS or (has_lab and called.rpartition(".")[2] in LAB_RUNNERS)
        first = node.args[0]
        if isinstance(first, ast.List | ast.Tuple) and first.elts:
            first = first.elts[0]
        if is_runner and isinstance(first, ast.Constant) and isinstance(first.value, str):
            found.add(first.value)
    return found


def unmarked(target: str, text: str) -> set[str]:
    """Return the programs in *text* that the list does not have for *target*."""
    named = texts(text) - PROTOCOLS.get(target, set())
    return {name for name in named if (package := package_of(name)) and target not in package.targets}


def test_dnf_installs_for_the_demo_what_apt_does() -> None:
    named_by_red_hat = {"iproute2": "iproute", "ipxe": "ipxe-bootimgs-x86"}
    wanted = {named_by_red_hat.get(package.name, package.name) for package in packages() if "demo" in package.targets}
    (line,) = [line for line in (TESTS / "install-packages").read_text().splitlines() if "dnf -q -y install" in line]
    asked, _, installed = line.partition(">")
    assert set(asked.partition("rpm -q ")[2].split()) == set(installed.partition(" install ")[2].split()) == wanted


def test_list_names_known_targets_and_each_package_once() -> None:
    assert {target for package in packages() for target in package.targets} == TARGETS
    assert len({package.name for package in packages()}) == len(packages())


@pytest.mark.parametrize("target", ["check", "test", "bench"])
def test_programs_that_are_named_are_in_packages_of_the_target(target: str) -> None:
    bad = {
        str(path.relative_to(TESTS)): names
        for its, path in sources()
        if its == target and (names := unmarked(target, path.read_text()))
    }
    assert bad == {}


def test_every_program_that_is_run_is_in_some_package_or_everywhere() -> None:
    run = {
        name: str(path.relative_to(TESTS))
        for _, path in sources()
        for name in programs_run(path.read_text(), has_lab=path.relative_to(TESTS).parts[0] in LABS)
    }
    assert {name: path for name, path in run.items() if name not in EVERYWHERE and not package_of(name)} == {}


def test_every_program_of_the_list_is_used() -> None:
    used = {name for _, path in sources() for name in texts(path.read_text())}
    # A path can be written in parts, such as a directory and a file name.
    files = {name for name in used if "/" in name}
    unused = {
        brought
        for package in packages()
        for brought in package.brings
        if brought not in used and not any(brought.startswith(name) for name in files)
    }
    assert unused == set()


def test_program_of_another_target_is_found() -> None:
    assert unmarked("bench", '_PROBE = ("wget", "-q")') == {"wget"}


def test_program_behind_a_wrapper_is_found() -> None:
    assert unmarked("check", 'lab.start("env", "A=1", "kea-dhcp4", "-c", path)') == {"kea-dhcp4"}


def test_program_that_is_run_is_read_from_calls_and_lists() -> None:
    assert programs_run('subprocess.run("nft"); run("hold")') == {"nft"}
    assert programs_run('lab.run(["socat", "-u"]); start(path); f("no")', has_lab=True) == {"socat"}


def test_missing_program_is_reported_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert why_missing("dig") == "dig is not installed; install the package bind9-dnsutils"


def test_program_that_is_here_is_not_missing() -> None:
    assert why_missing("sh") == ""
