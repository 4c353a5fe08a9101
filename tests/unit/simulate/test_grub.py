"""GRUB's language as the simulation reads it: examples from the GRUB manual, and what boot configurations use."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.boot import grub
from appliance.simulate.commands import EndedSignal
from appliance.simulate.grub_commands import COMMANDS
from appliance.simulate.grub_shell import Shell
from appliance.simulate.grub_syntax import parse
from appliance.simulate.grub_words import GrubSyntaxError
from appliance.simulate.script import CommandError, Ending, How, IpxeImage, Part
from tests.clusters import reference_cluster

FILES = {"(http,192.0.2.1)/vmlinuz": b"kernel", "(http,192.0.2.1)/initrd.img": b"initrd", "/vmlinuz": b"kernel"}


@dataclass
class Console:
    """A machine with some files."""

    files: Mapping[str, bytes]
    shown: list[str] = field(default_factory=list)
    waited: float = 0.0
    has_disk: bool = False

    async def fetch(self, path: str, root: str, part: Part) -> IpxeImage:
        if path not in self.files:
            raise CommandError(f"file `{path}' not found")
        body = self.files[path]
        return IpxeImage(path.rpartition("/")[2], path, len(body), body)

    async def pause(self, seconds: float) -> None:
        self.waited += seconds
        if self.waited > 100:
            raise TimeoutError("was told to wait for more than 100 s")

    def show(self, text: str) -> None:
        self.shown.append(text)


def run(text: str, choice: str = "", **files: str) -> tuple[Ending, Console]:
    console = Console({**FILES, **{f"/{name}.cfg": body.encode() for name, body in files.items()}})
    shell = Shell(console, COMMANDS, {"root": "tftp,192.0.2.1"}, choice=choice)

    async def inside() -> Ending:
        try:
            return await shell.run_file(text)
        except EndedSignal as signal:
            return signal.ending

    return asyncio.run(inside()), console


def said(text: str, **files: str) -> list[str]:
    return run(text, **files)[1].shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("echo a b", ["a b"]),
        ("echo 'a  b'", ["a  b"]),
        ("set x=1; echo $x ${x}2", ["1 12"]),
        ("x=1\necho \"$x is '$x'\"", ["1 is '1'"]),
        ("echo '$x' \\$x \"\\$x\"", ["$x $x $x"]),
        ("echo a\\\n b", ["a b"]),
        ("# a comment\necho a#b # c", ["a#b"]),
        ("if true; then echo yes; else echo no; fi", ["yes"]),
        ("if false\nthen echo a\nelif true\nthen echo b\nfi", ["b"]),
        ('if [ "$x" = "" ]; then echo empty; fi', ["empty"]),
        ("if [ a = a -a b != c ]; then echo both; fi", ["both"]),
        ("if [ a = b -o 2 -gt 1 ]; then echo one; fi", ["one"]),
        ("if ! false; then echo not; fi", ["not"]),
        ('if test -z "$x" ; then echo unset; fi', ["unset"]),
        ("for x in a b; do echo $x; done", ["a", "b"]),
        ("set n=a; while [ $n != aaa ]; do set n=${n}a; echo $n; done", ["aa", "aaa"]),
        ("set n=a; until [ $n = aaa ]; do set n=${n}a; done; echo $n", ["aaa"]),
        ('function greet { echo "hello $1"; }\ngreet you', ["hello you"]),
        ("false; echo $?", ["1"]),
        ("set x='a b'; for y in $x; do echo $y; done", ["a", "b"]),
        ("set x=1; unset x; echo [$x]", ["[]"]),
    ],
)  # fmt: skip
def test_text_means_what_the_manual_says(text: str, expected: list[str]) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("if true; then echo a", "line 1: expected 'fi'"),
        ("echo 'a", "line 1: a single quote"),
        ('\necho "a', "line 2: a double quote"),
        ("menuentry a {\n echo b\n", "line 3: expected '}'"),
        ("echo a }", "line 1: unexpected '}'"),
        ("echo a && echo b", "line 1: '&' outside quotes"),
        ("fi", "line 1: unexpected 'fi'"),
        ("for x y; do echo; done", "expected 'in'"),
    ],
)
def test_bad_syntax_is_told_with_its_line(text: str, where: str) -> None:
    with pytest.raises(GrubSyntaxError, match=where):
        parse(text)


def test_unknown_command_fails_and_the_rest_still_runs() -> None:
    assert said("frobnicate; echo $?; echo on") == ["error: can't find command `frobnicate'", "1", "on"]


ENTRY = """
set timeout=5
set default=live
menuentry 'Other' --id other { echo other; linux /none; }
menuentry "Install" --class os --id live {
    linux (http,192.0.2.1)/vmlinuz ip=dhcp coreos.inst.install_dev=/dev/sda
    initrd (http,192.0.2.1)/initrd.img
}
"""


def test_default_entry_boots_its_kernel_with_its_arguments() -> None:
    ending, _ = run(ENTRY)
    assert ending.how is How.BOOT
    assert ending.kernel is not None
    assert ending.kernel.arguments == "ip=dhcp coreos.inst.install_dev=/dev/sda"


def test_default_entry_hands_its_initrds_to_the_kernel() -> None:
    ending, _ = run(ENTRY)
    assert [image.name for image in ending.initrds] == ["initrd.img"]
    assert ending.hands_initrd_over


@pytest.mark.parametrize("default", ["1", "Install", "live"])
def test_default_is_a_number_a_title_or_an_id(default: str) -> None:
    ending, _ = run(ENTRY.replace("default=live", f"default={default}"))
    assert ending.how is How.BOOT


def test_user_chooses_another_entry() -> None:
    ending, console = run(ENTRY, choice="other")
    assert "other" in console.shown
    assert ending.how is How.WAITS
    assert "file `/none' not found" in ending.text


def test_entry_that_is_not_in_the_menu_cannot_be_chosen() -> None:
    with pytest.raises(CommandError, match="no entry 'gone'; it has other, live"):
        run(ENTRY, choice="gone")


def test_menu_without_a_timeout_waits() -> None:
    ending, _ = run(ENTRY.replace("set timeout=5", ""))
    assert (ending.how, ending.text) == (How.WAITS, "in a menu without a timeout")


def test_failed_entry_goes_on_to_the_fallback() -> None:
    ending, _ = run(ENTRY.replace("default=live", "default=other; set fallback=live"))
    assert ending.how is How.BOOT


def test_file_without_a_menu_ends_at_the_prompt() -> None:
    ending, _ = run("linux /vmlinuz")
    assert (ending.how, ending.text) == (How.WAITS, "at its prompt")


def test_boot_in_a_file_without_a_menu_starts_the_kernel() -> None:
    ending, _ = run("linux /vmlinuz quiet\nboot")
    assert ending.kernel is not None
    assert ending.kernel.arguments == "quiet"


def test_initrd_before_the_kernel_fails() -> None:
    assert said("initrd /initrd.img") == ["error: you need to load the kernel first"]


def test_configfile_replaces_the_menu() -> None:
    ending, _ = run("menuentry a { echo a; }\nconfigfile /more.cfg", more="set timeout=0\nmenuentry b { reboot; }")
    assert ending.how is How.REBOOT


def test_source_stays_in_the_same_menu() -> None:
    assert said("source /more.cfg; echo $x", more="set x=3") == ["3"]


DISK = """
search --no-floppy --file --set=esp /EFI/BOOT/BOOTX64.EFI
if [ -n "$esp" ]; then chainloader ($esp)/EFI/BOOT/BOOTX64.EFI; boot; fi
exit 1
"""


@pytest.mark.parametrize(("has_disk", "how"), [(True, How.SANBOOT), (False, How.EXIT)])
def test_disk_is_started_if_it_has_a_system(has_disk: bool, how: How) -> None:
    shell = Shell(Console(FILES, has_disk=has_disk), COMMANDS, {})
    with pytest.raises(EndedSignal) as ended:
        asyncio.run(shell.run_file(DISK))
    assert ended.value.ending.how is how


@pytest.mark.parametrize(("command", "how"), [("exit", How.EXIT), ("halt", How.POWEROFF), ("reboot", How.REBOOT)])
def test_machine_leaves_grub(command: str, how: How) -> None:
    assert run(command)[0].how is how


@pytest.mark.parametrize(
    "text",
    [
        "while true; do set x=1; done",
        "function f { f; }\nf",
        "configfile /self.cfg",
        "source /self.cfg",
        "while true; do sleep 5; done",
        "for a in 1 2 3 4 5 6 7 8 9; do " * 20 + "true" + "; done" * 20,
        "set x=aaaaaaaaaaaaaaaa; while true; do set x=$x$x; done",
    ],
)
def test_file_without_an_end_ends_with_a_reason(text: str) -> None:
    shell = Shell(Console({"/self.cfg": b"configfile /self.cfg\nsource /self.cfg"}), COMMANDS, {})
    with pytest.raises((CommandError, GrubSyntaxError, TimeoutError)):
        asyncio.run(shell.run_file(text))


WORDS = st.sampled_from(
    ["if", "then", "fi", "else", "for", "in", "do", "done", "{", "}", ";", "\n", "menuentry", "a", "$x", "${", '"', "'",
     "[", "]", "=", "set x=1", "linux /vmlinuz", "boot", "source /self.cfg", "sleep 3", "\\", "!", "-a", "exit"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=40))
def test_any_text_ends(words: list[str]) -> None:
    shell = Shell(Console({**FILES, "/self.cfg": b"echo a"}), COMMANDS, {})
    with contextlib.suppress(CommandError, EndedSignal, TimeoutError):
        asyncio.run(shell.run_file(" ".join(words)))


def test_unknown_machine_that_is_added_meanwhile_goes_on_by_itself() -> None:
    """As its console says."""
    unknown = grub.unknown(reference_cluster(menu_seconds=60))
    ending, console = run(f'{unknown}\nif [ -z "$stay" ]; then\n\thalt\nfi')
    assert (ending.how, console.waited) == (How.POWEROFF, 10)


@pytest.mark.parametrize(("seconds", "waited"), [(5, 5), (10, 10), (60, 70), (90, 90)])
def test_unknown_machine_leaves_after_the_time_of_the_menu(seconds: int, waited: int) -> None:
    unknown = grub.unknown(reference_cluster(menu_seconds=seconds))
    loop = "while true; do\n\tsource /unknown.cfg\n\tsleep 10\ndone"
    ending, console = run(loop, unknown=unknown)
    assert (ending.how, console.waited) == (How.EXIT, waited)
