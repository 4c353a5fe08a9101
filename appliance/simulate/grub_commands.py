"""The commands of GRUB that boot configurations use, each as the GRUB manual describes it."""

from types import MappingProxyType

from appliance.simulate.commands import EndedSignal
from appliance.simulate.grub_shell import MAX_VALUE_CHARACTERS, CommandTable, ReplacedSignal, Shell
from appliance.simulate.script import CommandError, Ending, How, IpxeImage, Part

DISK = "hd0,gpt2"  # the only disk's partition with a boot program


async def set_(shell: Shell, rest: list[str]) -> int:
    for word in rest:
        name, equals, value = word.partition("=")
        if len(value) > MAX_VALUE_CHARACTERS:
            raise CommandError(f"{name} would have more than {MAX_VALUE_CHARACTERS:,} characters")
        if equals:
            shell.variables[name] = value
    return 0


async def unset(shell: Shell, rest: list[str]) -> int:
    for name in rest:
        shell.variables.pop(name, None)
    return 0


async def echo(shell: Shell, rest: list[str]) -> int:
    while rest and rest[0] in ("-n", "-e"):
        rest = rest[1:]
    shell.around.show(" ".join(rest))
    return 0


async def linux(shell: Shell, rest: list[str]) -> int:
    """Load a kernel; everything after its name is its command line."""
    shell.kernel, shell.initrds = None, []
    image = await _load(shell, rest, Part.KERNEL)
    shell.kernel = IpxeImage(image.name, image.url, image.size, image.body, " ".join(rest[1:]))
    return 0


async def initrd(shell: Shell, rest: list[str]) -> int:
    if shell.kernel is None:
        raise CommandError("you need to load the kernel first")
    if not rest:
        raise CommandError("filename expected")
    shell.initrds = [await _load(shell, [path], Part.INITRD) for path in rest]
    return 0


async def chainloader(shell: Shell, rest: list[str]) -> int:
    """Load another boot program: the simulation knows only that of the machine's own disk."""
    paths = [word for word in rest if not word.startswith("-")]
    if not paths or not paths[0].startswith(f"({DISK}"):
        raise CommandError("the simulation starts no other boot program than that of the disk")
    if not shell.around.has_disk:
        raise CommandError(f"file `{paths[0]}' not found")
    shell.starts_disk = True
    return 0


async def search(shell: Shell, rest: list[str]) -> int:
    """Look for a file on the disks; a disk with a system has every file that boots it."""
    variable = ""
    for at, word in enumerate(rest):
        name, equals, value = word.partition("=")
        if name in ("--set", "-s"):
            following = rest[at + 1 : at + 2]
            variable = value if equals else "".join(following)
    if not shell.around.has_disk:
        raise CommandError("no such device")
    shell.variables[variable or "root"] = DISK
    return 0


async def boot(shell: Shell, _rest: list[str]) -> int:
    if shell.starts_disk:
        raise EndedSignal(Ending(How.SANBOOT))
    if shell.kernel is None:
        raise CommandError("you need to load the kernel first")
    raise EndedSignal(Ending(How.BOOT, kernel=shell.kernel, initrds=tuple(shell.initrds), hands_initrd_over=True))


async def configfile(shell: Shell, rest: list[str]) -> int:
    raise ReplacedSignal(_text(await _load(shell, rest, Part.SCRIPT)))


async def source(shell: Shell, rest: list[str]) -> int:
    return await shell.source(_text(await _load(shell, rest, Part.SCRIPT)))


async def sleep(shell: Shell, rest: list[str]) -> int:
    words = [word for word in rest if not word.startswith("-")]
    if not (words and words[0].isascii() and words[0].isdigit() and len(words[0]) < 7):
        raise CommandError("expected a number of seconds")
    await shell.around.pause(float(words[0]))
    return 0


async def exit_(_shell: Shell, _rest: list[str]) -> int:
    # Firmware goes on to its next boot entry: GRUB returns an error to it since 2.02.
    raise EndedSignal(Ending(How.EXIT, 1))


async def reboot(_shell: Shell, _rest: list[str]) -> int:
    raise EndedSignal(Ending(How.REBOOT))


async def halt(_shell: Shell, _rest: list[str]) -> int:
    raise EndedSignal(Ending(How.POWEROFF))


async def true(_shell: Shell, _rest: list[str]) -> int:
    return 0


async def false(_shell: Shell, _rest: list[str]) -> int:
    return 1


async def test(shell: Shell, rest: list[str]) -> int:
    """Evaluate an expression of test(1): `-a` binds more than `-o`."""
    groups: list[list[list[str]]] = [[[]]]
    for word in rest:
        if word == "-o":
            groups.append([[]])
        elif word == "-a":
            groups[-1].append([])
        else:
            groups[-1][-1].append(word)
    return int(not any([all([await _holds(shell, words) for words in group]) for group in groups]))


async def bracket(shell: Shell, rest: list[str]) -> int:
    if not rest or rest[-1] != "]":
        raise CommandError("missing ]")
    return await test(shell, rest[:-1])


async def _holds(shell: Shell, words: list[str]) -> bool:
    if words and words[0] == "!":
        return not await _holds(shell, words[1:])
    if len(words) == 3:
        return _compares(*words)
    if len(words) == 2:
        flag, value = words
        if flag == "-n":
            return bool(value)
        if flag == "-z":
            return not value
        if flag in ("-e", "-f", "-s", "-d"):
            try:
                await _load(shell, [value], Part.SCRIPT)
            except CommandError:
                return False
            return flag != "-d"
    if len(words) < 2:
        return bool(words and words[0])
    raise CommandError(f"test: unknown expression {' '.join(words)!r}")


def _compares(left: str, operator: str, right: str) -> bool:
    if operator in ("=", "=="):
        return left == right
    if operator == "!=":
        return left != right
    numbers = {"-eq": "==", "-ne": "!=", "-lt": "<", "-le": "<=", "-gt": ">", "-ge": ">="}
    try:
        first, second = int(left[:20] or "0"), int(right[:20] or "0")
    except ValueError as error:
        raise CommandError("test: not a number") from error
    results = {
        "==": first == second,
        "!=": first != second,
        "<": first < second,
        "<=": first <= second,
        ">": first > second,
        ">=": first >= second,
    }
    if operator not in numbers:
        raise CommandError(f"test: unknown operator {operator!r}")
    return results[numbers[operator]]


async def _load(shell: Shell, rest: list[str], part: Part) -> IpxeImage:
    if not rest:
        raise CommandError("filename expected")
    return await shell.around.fetch(rest[0], shell.variables.get("root", ""), part)


def _text(image: IpxeImage) -> str:
    return image.body.decode("utf-8", "replace")


# What has no effect on the network succeeds: modules are inside the signed GRUB, and the console is not simulated.
_NO_EFFECT = (
    "insmod rmmod export terminal terminal_input terminal_output serial loadfont gfxmode background_color clear"
    " set_background_image play keymap lsmod"
)

COMMANDS: CommandTable = MappingProxyType(
    {
        **dict.fromkeys(_NO_EFFECT.split(), true),
        "set": set_,
        "unset": unset,
        "echo": echo,
        "linux": linux,
        "linuxefi": linux,
        "initrd": initrd,
        "initrdefi": initrd,
        "chainloader": chainloader,
        "search": search,
        "boot": boot,
        "configfile": configfile,
        "source": source,
        ".": source,
        "sleep": sleep,
        "exit": exit_,
        "reboot": reboot,
        "halt": halt,
        "true": true,
        "false": false,
        "test": test,
        "[": bracket,
    }
)
