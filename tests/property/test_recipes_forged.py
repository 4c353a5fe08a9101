"""Forged datagrams among the boots of machines: which loader starts decides what a machine gets, and nothing else."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.boot.chains import alternatives
from appliance.events import Event, LoaderSilent, Program, Stamped, TftpFailed, TftpFinished, TftpStarted, WebKind
from appliance.install.conditions import judged
from appliance.install.installation import Rules, Stage, begin
from appliance.install.lifecycle import advance
from appliance.install.recipes import SMALL_BLOCK_BYTES, is_silent, loader_of
from appliance.model import Install, Loader
from tests.boots import LIVE, MB, NOW, Boot

HOST = LIVE.hosts[1]
FIRST = "efi/ipxe.efi"
LADDER = dict(alternatives(FIRST))
RULES = Rules(Install.ONCE, True, lambda host, number: f"{host}-{number}", has_file=lambda path: True)
VENDORS = ("", "PXEClient:Arch:00007:UNDI:003016", "iPXE without HTTP")
# More boots than any loader can need: each is tried three times, twice over.
MOST_BOOTS = 6 * len(LADDER)


def forged(boot: Boot, program: Program, vendor: str, which: int) -> list[Event]:
    """Return what one datagram with the host's MAC address and address makes of it."""
    return [
        *[replace(event, vendor=vendor, arch=arch) for event in boot.dhcp(program) for arch in ("x64-uefi", "bios")],
        boot.api_int(),
        TftpStarted(boot.host, boot.address, FIRST, MB),
        TftpFailed(boot.host, boot.address, FIRST, "silence", is_answered=False),
        TftpFailed(boot.host, boot.address, "efi/none.efi", "not-found"),
    ][which : which + 1]


ONE = st.tuples(st.sampled_from(list(Program)), st.sampled_from(VENDORS), st.integers(0, 7), st.floats(0.0, 30.0))
# What is forged before each step of a boot; the same in every boot.
ATTACKS = st.lists(st.tuples(st.integers(0, 3), ONE), max_size=8)


class Machine:
    """A machine whose firmware starts only the boot files in *starts*, and the record of it."""

    def __init__(self, starts: set[str]) -> None:
        self.starts = starts
        self.boot = Boot(HOST)
        self.record = begin(HOST.name, RULES)
        self.at = self.seen_at = NOW

    @property
    def file(self) -> str:
        return LADDER.get(loader_of(self.record, {}, ""), FIRST)

    def happen(self, event: Event, seconds: float = 1.0) -> None:
        self.at += seconds
        if not isinstance(event, LoaderSilent):
            self.seen_at = self.at
        self.record = judged(advance(self.record, Stamped(self.at, event), RULES), self.at)

    def look(self, seconds: float) -> None:
        self.at += seconds
        if is_silent(self.record, self.seen_at, self.at):
            self.happen(LoaderSilent(HOST.name, self.record.number), 0.0)

    def attack(self, attacks: list[tuple[int, tuple[Program, str, int, float]]], step: int) -> None:
        for at_step, (program, vendor, which, seconds) in attacks:
            if at_step == step:
                for event in forged(self.boot, program, vendor, which):
                    self.happen(event, seconds)

    def power_on(self, attacks: list[tuple[int, tuple[Program, str, int, float]]]) -> bool:
        """Boot once; return whether it reached its script."""
        file = self.file
        self.attack(attacks, 0)
        for event in self.boot.dhcp(Program.PXE):
            self.happen(replace(event, vendor=VENDORS[1]))
        self.attack(attacks, 1)
        self.happen(TftpFinished(HOST.name, self.boot.address, file, MB, 0.5, 0))
        self.attack(attacks, 2)
        self.look(60.0)
        if file not in self.starts:
            return False
        for event in [*self.boot.dhcp(Program.IPXE), *self.boot.get(WebKind.MENU)]:
            self.happen(event)
        self.attack(attacks, 3)
        return True


@settings(max_examples=200, deadline=None)
@given(ATTACKS, st.sets(st.sampled_from(sorted(LADDER.values())), min_size=1))
def test_machine_finds_a_loader_that_starts_whatever_is_forged(attacks, starts):
    machine = Machine(starts)
    assert any(machine.power_on(attacks) for _ in range(MOST_BOOTS))
    assert machine.file in starts


@settings(max_examples=200, deadline=None)
@given(ATTACKS, st.sampled_from(sorted(LADDER.values())))
def test_machine_that_reaches_its_script_keeps_its_loader_whatever_is_forged(attacks, only):
    machine = Machine({only})
    while not machine.power_on([]):
        pass
    for _ in range(5):
        assert machine.power_on(attacks)
        assert machine.file == only
        assert LADDER[Loader(machine.record.recipe.worked)] == only


@settings(max_examples=200, deadline=None)
@given(st.lists(ONE, max_size=30))
def test_datagrams_alone_choose_no_recipe(attacks):
    machine = Machine({FIRST})
    machine.attack([(0, one) for one in attacks], 0)
    recipe = machine.record.recipe
    assert (recipe.loader, recipe.worked, recipe.block_bytes, recipe.loads) == ("", "", 0, 0)


@settings(max_examples=200, deadline=None)
@given(st.lists(ONE, max_size=30), st.booleans())
def test_recipes_move_no_stage_and_no_order(attacks, has_stalled):
    """The same datagrams move the record of a machine with a recipe as that of one without."""
    one, other = Machine({FIRST}), Machine({FIRST})
    if has_stalled:
        recipe = replace(one.record.recipe, loader="ipxe-snp", block_bytes=SMALL_BLOCK_BYTES, worked="ipxe-snp")
        one.record = replace(one.record, recipe=recipe)
    for machine in (one, other):
        machine.attack([(0, each) for each in attacks], 0)
    assert (one.record.stage, one.record.order) == (other.record.stage, other.record.order)
    assert one.record.stage <= Stage.BOOTLOADER
