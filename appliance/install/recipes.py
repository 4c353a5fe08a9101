"""What a machine with `loader: auto` is given next when it stalls in a way that has a known cure; pure.

The one rule: only what takes a client that receives at the host's address counts. A DHCP
message can be forged with one datagram; a boot file that is fetched whole, a TFTP
transfer that was answered and a script cannot. So whoever forges messages can hurry a
machine that stalls to another loader, and takes nothing from one that installs: once
it reaches its script, its recipe is the one that it did that with.

    the same boot file is fetched whole three times, and no script follows   → the next loader
    the same twice, and the firmware was back at once: it refused the file   → shim
    it is fetched, and for two minutes nothing follows                       → the next loader
    three TFTP transfers in a row break off                                  → small blocks

A machine that was never seen begins with what worked for the latest of its vendor
class (`beginnings`). After the last loader comes the first one again.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from appliance.boot.chains import alternatives, files_of
from appliance.boot.loaders import package_hint
from appliance.install.effects import Move
from appliance.install.evidence import Evidence, Finding
from appliance.install.installation import FILE_MISSING, Condition, Installation, Recipe, Rules, Stage
from appliance.model import Host, Loader

STALLED_LOADS = 3
REFUSED_LOADS = 2
# Firmware that refuses a boot file goes on to its next boot entry within a second. A machine that started the file and
# was reset is longer in its self-test.
REFUSED_SECONDS = 2.0
STALLED_BREAKS = 3
SILENT_SECONDS = 120.0
# What every TFTP client takes and every path carries (RFC 1350).
SMALL_BLOCK_BYTES = 512

LOADER_LOOP, LOADER_STALLED = "loader-loop", "loader-stalled"

_LOADERS: Mapping[str, Loader] = {loader.value: loader for loader in Loader}
_TIMES = {2: "twice", 3: "three times"}
_SECURE_BOOT = "Firmware with Secure Boot refuses iPXE: it starts shim, or anything once Secure Boot is off."
_PATH_HINT = (
    "If the path has a smaller MTU, set `mtu` for the network; if a firewall blocks the ports that TFTP answers from, "
    "set `listen.tftpSinglePort: true`."
)

# Where `loader: auto` begins, by class of firmware.
Beginnings = Mapping[str, Loader]
NO_BEGINNINGS: Beginnings = MappingProxyType({})

_Step = Callable[[Installation, Finding, float, Rules], Installation]


def followed(installation: Installation, finding: Finding, at: float, rules: Rules) -> Installation:
    """Return *installation* with the recipe after *finding*; the same object if it is the same."""
    step = _STEPS.get(finding.evidence)
    return installation if step is None else step(installation, finding, at, rules)


def loader_of(installation: Installation | None, beginnings: Beginnings, firmware: str) -> Loader:
    """Return what `loader: auto` gives a machine whose firmware is of the class *firmware*."""
    own = installation.recipe.loader if installation is not None else ""
    return named(own) if own else beginnings.get(firmware, Loader.AUTO)


def named(name: str) -> Loader:
    """Return the loader that a record calls *name*; AUTO if another version wrote it."""
    return _LOADERS.get(name, Loader.AUTO)


def beginnings(installations: Iterable[Installation]) -> dict[str, Loader]:
    """Return where `loader: auto` begins for each class of firmware: what worked for the latest machine of it."""
    recipes = [each.recipe for each in installations if each.recipe.worked_on and each.recipe.worked_at is not None]
    return {each.worked_on: named(each.worked) for each in sorted(recipes, key=lambda each: each.worked_at or 0.0)}


def has_loaded(installation: Installation | None) -> bool:
    """Whether the machine has fetched its boot file since it last fetched a script, or cannot fetch it."""
    if installation is None:
        return False
    complaint = installation.complaint
    return installation.recipe.loads > 0 or (complaint is not None and complaint.name == FILE_MISSING)


def block_bytes_of(installation: Installation | None) -> int:
    """Return the most that a TFTP block for the machine has; 0 for as many bytes as fit the path."""
    return 0 if installation is None else installation.recipe.block_bytes


def is_silent(installation: Installation, seen_at: float, now: float) -> bool:
    """Whether nothing has followed a boot file for so long that it did not start, and that was not noted yet.

    *seen_at* is of any message, or since when they are heard.
    """
    recipe = installation.recipe
    if installation.stage is not Stage.LOADER or not recipe.loads or recipe.loaded_at is None:
        return False
    return now - max(seen_at, recipe.loaded_at) >= SILENT_SECONDS


def lasting(host: Host, installation: Installation) -> str:
    """Return the line of cluster.yaml that makes *host* begin with what worked for it; "" where it does already."""
    worked = named(installation.recipe.worked)
    return f"loader: {worked}" if host.loader is Loader.AUTO and worked is not Loader.AUTO else ""


def news(before: Installation, after: Installation) -> str:
    """Return why the recipe has changed, for the operator; "" where it has not."""
    old, new = before.recipe, after.recipe
    is_same = (named(old.loader), old.block_bytes) == (named(new.loader), new.block_bytes)
    if new.worked_at == old.worked_at:
        return "" if is_same or after.complaint is None else after.complaint.hint
    if is_same and named(new.worked) is named(old.worked):
        return ""
    begins = (
        "" if named(new.worked) is Loader.AUTO else f"; `loader: {new.worked}` in cluster.yaml makes it begin there"
    )
    return f"{_short(after)} reached its script with it{begins}"


def identified(installation: Installation, finding: Finding) -> Installation:
    """Return the installation with the class of its firmware; only the DHCP of firmware tells that."""
    if not finding.firmware or finding.firmware == installation.recipe.firmware:
        return installation
    return replace(installation, recipe=replace(installation.recipe, firmware=finding.firmware))


def fall_silent(installation: Installation, _move: Move, _finding: Finding, at: float, rules: Rules) -> Installation:
    """Try the next loader, because nothing has followed the boot file for long; not where it is known to start."""
    recipe = replace(installation.recipe, loaded_at=None)  # this silence has been noted: `is_silent`
    if not recipe.loads or (recipe.worked and named(recipe.worked) in _names(recipe.loaded)):
        return replace(installation, recipe=recipe)
    why = f"fetched {recipe.loaded}, and nothing followed for two minutes"
    return _next(installation, recipe, why, at, rules, remedy=" Reset it.")


def _load(installation: Installation, finding: Finding, at: float, rules: Rules) -> Installation:
    """Count a boot file that was fetched whole, and try the next loader if nothing ever follows."""
    path, before = finding.path, installation.recipe
    if not alternatives(path) and path != rules.loader:
        return installation  # what the loader itself fetches, as shim fetches GRUB
    is_same = path == before.loaded
    loads = before.loads + 1 if is_same else 1
    is_refused = is_same and before.is_refused
    recipe = replace(before, loaded=path, loaded_at=at, loads=loads, is_refused=is_refused, breaks=0)
    if installation.stage >= Stage.SCRIPT or loads < (REFUSED_LOADS if is_refused else STALLED_LOADS):
        return replace(installation, recipe=recipe)
    how = "and its firmware was back at once" if is_refused else "and nothing followed"
    return _next(installation, recipe, f"fetched {path} {_TIMES.get(loads, f'{loads} times')} {how}", at, rules)


def _come_back(installation: Installation, _finding: Finding, at: float, _rules: Rules) -> Installation:
    """Note that firmware was back so soon after it fetched its boot file that it did not start it."""
    recipe = installation.recipe
    if not recipe.loads or recipe.is_refused or recipe.loaded_at is None:
        return installation
    if not 0 <= at - recipe.loaded_at <= REFUSED_SECONDS:
        return installation
    return replace(installation, recipe=replace(recipe, is_refused=True))


def _next(
    installation: Installation, recipe: Recipe, why: str, at: float, rules: Rules, remedy: str = ""
) -> Installation:
    """Return the installation with the next loader that its firmware may start, and a condition that says so."""
    ladder = alternatives(recipe.loaded)
    if rules.loader is not Loader.AUTO or not ladder:
        return replace(installation, recipe=recipe)
    others = [other for other in ladder if other[1] != recipe.loaded]
    there = [other for other in others if all(map(rules.has_file, files_of(other[1])))]
    tried = {*recipe.tried.split(), *_names(recipe.loaded)}
    left = [other for other in there if other[0] not in tried]
    if recipe.is_refused:
        left.sort(key=lambda other: other[0] is not Loader.SHIM)
    vendor = recipe.firmware.partition(" ")[2]
    whose = f" ({vendor})" if vendor.startswith("iPXE") else ""
    what = f"{_short(installation)}{whose} {why}"
    shim = dict(ladder).get(Loader.SHIM, recipe.loaded)
    remedy += f" {_SECURE_BOOT}" if recipe.is_refused and recipe.loaded != shim else ""
    if not there:
        adds = "; ".join(f"to add {path}: {package_hint(path)}" for _, path in others)
        hint = f"{what}. No other loader can be tried{f' ({adds})' if adds else ''}.{remedy}"
        return _troubled(replace(installation, recipe=recipe), LOADER_LOOP, hint, at)
    loader, path = (left or there)[0]
    gets = f"it gets {path} now" if left else f"every loader was tried, and it starts over with {path}"
    changed = replace(
        recipe, loader=loader.value, tried=" ".join(sorted(tried)) if left else "", loads=0, is_refused=False
    )
    return _troubled(replace(installation, recipe=changed), LOADER_LOOP, f"{what}; {gets}.{remedy}", at)


def _break(installation: Installation, _finding: Finding, at: float, rules: Rules) -> Installation:
    """Count a TFTP transfer that broke off, and send smaller blocks if they all do."""
    recipe = replace(installation.recipe, breaks=installation.recipe.breaks + 1)
    if recipe.breaks < STALLED_BREAKS or rules.loader is not Loader.AUTO:
        return replace(installation, recipe=recipe)
    is_small = recipe.block_bytes > 0
    now = (
        "blocks of 512 bytes do not help, so it gets full ones again" if is_small else "it gets blocks of 512 bytes now"
    )
    hint = f"Three TFTP transfers to {_short(installation)} in a row broke off; {now}. {_PATH_HINT}"
    changed = replace(recipe, block_bytes=0 if is_small else SMALL_BLOCK_BYTES, breaks=0)
    return _troubled(replace(installation, recipe=changed), LOADER_STALLED, hint, at)


def _miss(installation: Installation, finding: Finding, _at: float, rules: Rules) -> Installation:
    """Go back to where `auto` begins if the file of the present loader is not there any more."""
    names, recipe = _names(finding.path), installation.recipe
    if Loader.AUTO in names or not names or rules.has_file(finding.path):
        return installation
    # One datagram is a whole request. For another file than its own, it is not the machine's.
    if loader_of(installation, rules.beginnings, recipe.firmware) not in names:
        return installation
    worked = "" if recipe.worked and named(recipe.worked) in names else recipe.worked
    return replace(installation, recipe=replace(recipe, loader=Loader.AUTO.value, worked=worked))


def _work(installation: Installation, _finding: Finding, at: float, _rules: Rules) -> Installation:
    """Keep the loader with which the machine reached its script."""
    recipe = installation.recipe
    if not recipe.loaded:
        return installation  # it fetched none, or another script before
    done = replace(recipe, loaded="", loaded_at=None, loads=0, is_refused=False, breaks=0, tried="")
    names = _names(recipe.loaded)
    if names:  # otherwise it is a boot file of the operator's
        name = names[0].value
        done = replace(done, loader=name, worked=name, worked_at=at, worked_on=recipe.firmware)
    return replace(installation, recipe=done)


def _names(path: str) -> tuple[Loader, ...]:
    """Return the loader that the boot file *path* is; none if it is the operator's own."""
    return tuple(loader for loader, each in alternatives(path) if each == path)


def _troubled(installation: Installation, name: str, hint: str, at: float) -> Installation:
    return replace(installation, complaint=Condition(name, hint, at))


def _short(installation: Installation) -> str:
    return installation.host.partition(".")[0]


_STEPS: Mapping[Evidence, _Step] = {
    Evidence.FIRMWARE_OFFERED: _come_back,
    Evidence.FIRMWARE_ACKED: _come_back,
    Evidence.LOADER_FETCHED_BY_TFTP: _load,
    Evidence.LOADER_FETCHED_BY_HTTP: _load,
    Evidence.LOADER_BROKEN: _break,
    Evidence.LOADER_MISSING_ON_TFTP: _miss,
    Evidence.LOADER_MISSING_ON_HTTP: _miss,
    Evidence.SCRIPT_SENT: _work,
    Evidence.WAIT_SENT: _work,
    Evidence.SCRIPT_HELD_BACK: _work,
    Evidence.LOCAL_SENT: _work,
}
