"""The iPXE commands that boot scripts use, as in Debian's build of iPXE.

Each command is a function that gets the state, its options and its other words, and
raises CommandError when the command fails. A script comes from the network: whatever
it contains, a command raises nothing else (but EndedSignal).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import urljoin

from appliance.simulate.script import SCRIPT_MAGIC, CommandError, Ending, How, IpxeImage, Part, Surroundings
from appliance.simulate.settings import Settings


class EndedSignal(Exception):  # noqa: N818 - not an error: it ends the run from within any depth of scripts
    """iPXE has finished."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending


@dataclass(slots=True)
class Menu:
    """A menu: `item` adds entries to it, `choose` shows it."""

    title: str
    items: dict[str, str] = field(default_factory=dict)
    default: str = ""


@dataclass(slots=True)
class ScriptState:
    """The state that commands read and change."""

    settings: Settings
    around: Surroundings
    run_script: Callable[[IpxeImage], Awaitable[int]]  # returns what its `exit` gave
    choice: str  # the menu entry that a user at the console chooses; "" when nobody is there
    url: str = ""  # of the running script: the base of its relative URLs
    kernel: IpxeImage | None = None
    initrds: list[IpxeImage] = field(default_factory=list)
    menus: dict[str, Menu] = field(default_factory=dict)
    echoed: str = ""  # the line that `echo -n` has begun
    goto: str = ""  # the label to continue from
    exit_status: int | None = None
    replacement: IpxeImage | None = None  # the script that replaces this one


async def chain(state: ScriptState, options: dict[str, str], rest: list[str]) -> None:
    """Run another script; with --replace, do not return."""
    image = await _fetch(state, options, rest, Part.SCRIPT)
    if not image.body.startswith(SCRIPT_MAGIC):
        raise EndedSignal(Ending(How.BOOT, kernel=image, text="a boot program"))
    if "replace" in options:
        state.replacement = image
        return
    if status := await state.run_script(image):
        raise CommandError(f"{image.url} ended with exit {status}")


async def load_kernel(state: ScriptState, options: dict[str, str], rest: list[str]) -> None:
    state.kernel = await _fetch(state, options, rest, Part.KERNEL)


async def load_initrd(state: ScriptState, options: dict[str, str], rest: list[str]) -> None:
    state.initrds.append(await _fetch(state, options, rest, Part.INITRD))


async def boot(state: ScriptState, options: dict[str, str], rest: list[str]) -> None:
    if rest:
        await load_kernel(state, options, rest)
    if state.kernel is None:
        raise CommandError("no kernel has been fetched")
    raise EndedSignal(Ending(How.BOOT, kernel=state.kernel, initrds=tuple(state.initrds)))


async def _fetch(state: ScriptState, options: dict[str, str], rest: list[str], part: Part) -> IpxeImage:
    if not rest:
        raise CommandError("no file given")
    try:
        url = urljoin(state.url, rest[0])
    except ValueError as error:
        raise CommandError(f"{rest[0]!r} is not a valid URL") from error
    timeout = _number(options.get("timeout", ""))
    patience = timeout / 1000 if timeout is not None else None
    image = await state.around.fetch(url, part, patience)
    name = options.get("name") or url.partition("?")[0].rpartition("/")[2]
    return IpxeImage(name, image.url, image.size, image.body, " ".join(rest[1:]))


async def imgfree(state: ScriptState, _options: dict[str, str], rest: list[str]) -> None:
    state.initrds = [image for image in state.initrds if rest and image.name not in rest]
    if state.kernel and (not rest or state.kernel.name in rest):
        state.kernel = None


async def imgargs(state: ScriptState, _options: dict[str, str], rest: list[str]) -> None:
    if state.kernel is None:
        raise CommandError("no kernel has been fetched")
    kernel = state.kernel
    state.kernel = IpxeImage(kernel.name, kernel.url, kernel.size, kernel.body, " ".join(rest[1:]))


async def set_(state: ScriptState, _options: dict[str, str], rest: list[str]) -> None:
    if not rest:
        raise CommandError("no setting given")
    try:
        state.settings.store_text(rest[0], " ".join(rest[1:]))
    except ValueError as error:
        raise CommandError(str(error)) from error


async def clear(state: ScriptState, _options: dict[str, str], rest: list[str]) -> None:
    for name in rest:
        state.settings.clear(name)


async def inc(state: ScriptState, _options: dict[str, str], rest: list[str]) -> None:
    try:
        step = int(rest[1], 0) if len(rest) > 1 else 1
        total = int(state.settings.text(rest[0]) or "0", 0) + step
        state.settings.store_text(f"{rest[0].partition(':')[0]}:int32", str(total))
    except (ValueError, IndexError) as error:
        raise CommandError("expected a setting that holds a number") from error


async def isset(_state: ScriptState, _options: dict[str, str], rest: list[str]) -> None:
    if not (rest and rest[0]):
        raise CommandError("not set")


async def iseq(_state: ScriptState, _options: dict[str, str], rest: list[str]) -> None:
    if len(rest) != 2:
        raise CommandError(f"expected two values, got {len(rest)}")
    if rest[0] != rest[1]:
        raise CommandError(f"{rest[0]!r} is not {rest[1]!r}")


async def goto(state: ScriptState, _options: dict[str, str], rest: list[str]) -> None:
    if len(rest) != 1:
        raise CommandError(f"expected one label, got {len(rest)}")
    state.goto = rest[0]


async def exit_(state: ScriptState, _options: dict[str, str], rest: list[str]) -> None:
    try:
        state.exit_status = int(rest[0], 0) if rest else 0
    except ValueError as error:
        raise CommandError(f"{rest[0]!r} is not a number") from error


async def echo(state: ScriptState, options: dict[str, str], rest: list[str]) -> None:
    state.echoed += " ".join(rest)
    if "n" not in options:
        state.around.show(state.echoed)
        state.echoed = ""


async def sleep(state: ScriptState, _options: dict[str, str], rest: list[str]) -> None:
    seconds = _number(rest[0]) if len(rest) == 1 else None
    if seconds is None:
        raise CommandError("expected a number of seconds")
    await state.around.pause(seconds)


async def dhcp(state: ScriptState, _options: dict[str, str], _rest: list[str]) -> None:
    await state.around.dhcp()


async def menu(state: ScriptState, options: dict[str, str], rest: list[str]) -> None:
    name = options.get("name", "")
    state.menus.pop(name, None)
    if "delete" not in options:
        state.menus[name] = Menu(" ".join(rest))


async def item(state: ScriptState, options: dict[str, str], rest: list[str]) -> None:
    menu = _menu(state, options)
    if "gap" in options or not rest:
        return
    menu.items[rest[0]] = " ".join(rest[1:])
    if "default" in options:
        menu.default = rest[0]


async def choose(state: ScriptState, options: dict[str, str], rest: list[str]) -> None:
    menu = _menu(state, options)
    if not rest or not menu.items:
        raise CommandError("expected a setting, and a menu with items")
    taken = state.choice
    if not taken:
        timeout = _number(options.get("timeout", ""))
        if not timeout:
            _waits(f"at the menu {menu.title!r}, which has no timeout")
        taken = options.get("default") or menu.default or next(iter(menu.items))
        state.around.show(f"menu {menu.title!r}: nobody there, {taken!r} after {timeout / 1000:g} s")
    if taken not in menu.items:
        raise CommandError(f"{taken!r} is not in the menu, which has {', '.join(menu.items)}")
    state.choice = ""  # a key is pressed once
    if "keep" not in options:
        state.menus.pop(options.get("menu", ""), None)
    state.settings.store_text(rest[0], taken)


async def prompt(_state: ScriptState, options: dict[str, str], rest: list[str]) -> None:
    if _number(options.get("timeout", "")) is None:
        _waits(f"for a key: {' '.join(rest)}")
    raise CommandError("nobody pressed a key")


async def interactive(_state: ScriptState, _options: dict[str, str], _rest: list[str]) -> None:
    _waits("for a user at its console")


async def sanboot(state: ScriptState, _options: dict[str, str], _rest: list[str]) -> None:
    if not await state.around.boots_disk():
        raise CommandError("the disk has nothing to boot")
    raise EndedSignal(Ending(How.SANBOOT))


async def reboot(_state: ScriptState, _options: dict[str, str], _rest: list[str]) -> None:
    raise EndedSignal(Ending(How.REBOOT))


async def poweroff(_state: ScriptState, _options: dict[str, str], _rest: list[str]) -> None:
    raise EndedSignal(Ending(How.POWEROFF))


async def nothing(_state: ScriptState, _options: dict[str, str], _rest: list[str]) -> None:
    """Succeed: its effect is not visible on the network."""


def _number(text: str) -> int | None:
    """Return the number of at most nine digits that *text* is, or None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _menu(state: ScriptState, options: dict[str, str]) -> Menu:
    try:
        return state.menus[options.get("menu", "")]
    except KeyError:
        raise CommandError("there is no menu") from None


def _waits(text: str) -> NoReturn:
    raise EndedSignal(Ending(How.WAITS, text=text))


Command = Callable[[ScriptState, dict[str, str], list[str]], Awaitable[None]]

# The commands of Debian's iPXE that a boot script may use; `imgverify`, `ping` and others are not built in.
COMMANDS: dict[str, Command] = {
    "": nothing,
    "chain": chain,
    "kernel": load_kernel,
    "imgselect": load_kernel,
    "initrd": load_initrd,
    "module": load_initrd,
    "imgfetch": load_initrd,
    "imgfree": imgfree,
    "imgargs": imgargs,
    "boot": boot,
    "imgexec": boot,
    "set": set_,
    "clear": clear,
    "inc": inc,
    "isset": isset,
    "iseq": iseq,
    "goto": goto,
    "exit": exit_,
    "echo": echo,
    "sleep": sleep,
    "dhcp": dhcp,
    "ifconf": dhcp,
    "menu": menu,
    "item": item,
    "choose": choose,
    "prompt": prompt,
    "read": interactive,
    "login": interactive,
    "shell": interactive,
    "config": interactive,
    "sanboot": sanboot,
    "reboot": reboot,
    "poweroff": poweroff,
    **dict.fromkeys(
        ["ifopen", "ifclose", "ifstat", "imgstat", "route", "sync", "colour", "color", "cpair", "cpuid", "show"],
        nothing,
    ),
}
