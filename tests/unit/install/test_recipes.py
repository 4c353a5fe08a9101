"""A machine that stalls is given the next loader, and one that reaches its script keeps what it did that with."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.boot.chains import alternatives
from appliance.events import Event, LoaderSilent, Ordered, Program, RecipeChosen, TftpFailed, TftpFinished, WebKind
from appliance.install import recipes
from appliance.install.installation import Installation, Order, Stage
from appliance.model import Install, Loader, LocalBoot
from tests.boots import LIVE, MB, Boot, Fleet

IPXE, SNP = "efi/ipxe.efi", "efi/snponly.efi"
SHIM = dict(alternatives(IPXE))[Loader.SHIM]
GRUB = "shim/x64/grubx64.efi"
VENDOR = "PXEClient:Arch:00007:UNDI:003016"
KIND = f"x64-uefi {VENDOR}"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterable[Fleet]:
    made = Fleet(tmp_path, with_loaders(tmp_path, IPXE, SNP, SHIM, GRUB))
    yield made
    made.journal.close()


def with_loaders(data_dir: Path, *paths: str, **host: object):
    """Return the cluster with these files in the data directory, and *host* set for each host."""
    for path in paths:
        file = data_dir / "tftp" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"MZ")
    hosts = tuple(replace(each, **host) for each in LIVE.hosts)
    return replace(LIVE, data_dir=data_dir, hosts=hosts)


def firmware(boot: Boot, program: Program = Program.PXE, vendor: str = VENDOR) -> list[Event]:
    return [replace(event, vendor=vendor) for event in boot.dhcp(program)]


def fetched(boot: Boot, path: str) -> TftpFinished:
    return TftpFinished(boot.host, boot.address, path, MB, 0.5, 0)


def tried(boot: Boot, path: str, times: int = 1) -> list[Event]:
    """Return boots that end with the boot file *path*."""
    return [*firmware(boot), fetched(boot, path)] * times


def broken(boot: Boot, *, is_answered: bool = True) -> TftpFailed:
    return TftpFailed(boot.host, boot.address, IPXE, "no answer to block 1 of 600 for 30 s", is_answered=is_answered)


def to_script(boot: Boot, path: str) -> list[Event]:
    return [*tried(boot, path), *boot.dhcp(Program.IPXE), *boot.get(WebKind.MENU)]


def loader_of(fleet: Fleet, boot: Boot) -> Loader:
    return recipes.loader_of(fleet[boot], fleet.registry.beginnings, KIND)


BETWEEN = 60.0  # seconds between two messages: a server's self-test


def test_boot_file_fetched_three_times_with_nothing_after_it_is_replaced_by_the_next(fleet):
    m1 = fleet.boot(1)
    fleet.happen(tried(m1, IPXE, 2), BETWEEN)
    assert loader_of(fleet, m1) is Loader.AUTO
    fleet.happen(tried(m1, IPXE), BETWEEN)
    assert loader_of(fleet, m1) is Loader.IPXE_SNP


def test_operator_reads_what_stalled_and_what_the_machine_gets_now(fleet):
    m1 = fleet.boot(1)
    fleet.happen(tried(m1, IPXE, 3), BETWEEN)
    condition = fleet[m1].condition
    told = "m1 fetched efi/ipxe.efi three times and nothing followed; it gets efi/snponly.efi now."
    assert (condition.name, condition.hint) == ("loader-loop", told)
    assert [(event.loader, event.why) for event in fleet.of(RecipeChosen)] == [("ipxe-snp", told)]


def test_after_the_last_loader_comes_the_first_and_the_condition_stays(fleet):
    m1 = fleet.boot(1)
    for path in (IPXE, SNP, SHIM):
        fleet.happen(tried(m1, path, 3), BETWEEN)
    assert loader_of(fleet, m1) is Loader.AUTO
    assert fleet[m1].condition.name == "loader-loop"
    assert "every loader was tried, and it starts over with efi/ipxe.efi" in fleet[m1].condition.hint


@pytest.mark.parametrize("missing", [SNP, SHIM, GRUB])
def test_loader_whose_file_is_not_there_is_not_tried(tmp_path, missing):
    fleet = Fleet(tmp_path, with_loaders(tmp_path, *{IPXE, SNP, SHIM, GRUB} - {missing}))
    # Debian's package may be installed here, so the files of the data directory are the only ones.
    m1 = fleet.boot(1)
    fleet.registry._rules[m1.host] = replace(
        fleet.registry._rules[m1.host], has_file=lambda path: (tmp_path / "tftp" / path).is_file()
    )
    seen = set()
    for _ in range(4):
        ladder = dict(alternatives(IPXE))
        fleet.happen(tried(m1, ladder[loader_of(fleet, m1)], 3), BETWEEN)
        seen.add(ladder[loader_of(fleet, m1)])
    assert seen == {IPXE, SNP, SHIM} - {SHIM if missing == GRUB else missing}
    fleet.journal.close()


def test_machine_without_another_loader_is_told_which_packages_have_one(tmp_path):
    fleet = Fleet(tmp_path, with_loaders(tmp_path, IPXE))
    m1 = fleet.boot(1)
    fleet.registry._rules[m1.host] = replace(fleet.registry._rules[m1.host], has_file=lambda path: path == IPXE)
    fleet.happen(tried(m1, IPXE, 3), BETWEEN)
    assert fleet[m1].condition.name == "loader-loop"
    assert "No other loader can be tried (to add efi/snponly.efi: apt install ipxe" in fleet[m1].condition.hint
    assert loader_of(fleet, m1) is Loader.AUTO
    fleet.journal.close()


def test_firmware_that_is_back_at_once_gets_shim_after_the_second_time(fleet):
    m1 = fleet.boot(1)
    fleet.happen(tried(m1, IPXE, 2), 0.5)
    assert loader_of(fleet, m1) is Loader.SHIM
    assert "Secure Boot" in fleet[m1].condition.hint


@pytest.mark.parametrize("path", ["undionly.kpxe", SHIM])
def test_secure_boot_is_no_cause_where_there_is_none_or_shim_is_refused(fleet, path):
    m1 = fleet.boot(1)
    fleet.happen(tried(m1, path, 2), 0.5)
    assert "its firmware was back at once" in fleet[m1].condition.hint
    assert "Secure Boot" not in fleet[m1].condition.hint


def test_firmware_that_goes_on_to_http_boot_at_once_gets_shim_there_too(fleet):
    m1 = fleet.boot(1)
    fleet.happen([*firmware(m1), fetched(m1, IPXE), *firmware(m1, Program.HTTP)], 0.5)
    fleet.happen(m1.get(WebKind.LOADER, MB, f"/{IPXE}"), 0.5)
    assert loader_of(fleet, m1) is Loader.SHIM


def test_shim_that_does_not_start_either_is_followed_by_a_loader_not_tried_yet(fleet):
    m1 = fleet.boot(1)
    fleet.happen(tried(m1, IPXE, 2), 0.5)
    fleet.happen(tried(m1, SHIM, 3), BETWEEN)
    assert loader_of(fleet, m1) is Loader.IPXE_SNP


def test_boot_files_of_different_loaders_are_not_counted_together(fleet):
    m1 = fleet.boot(1)
    fleet.happen([*tried(m1, IPXE, 2), *tried(m1, SNP), *tried(m1, IPXE, 2)], BETWEEN)
    assert fleet[m1].complaint is None


def test_boot_file_that_is_fetched_while_it_installs_is_no_stall(fleet):
    m1 = fleet.boot(1)
    fleet.happen([*to_script(m1, IPXE), *[fetched(m1, IPXE)] * 4], BETWEEN)
    assert (fleet[m1].stage, loader_of(fleet, m1)) == (Stage.SCRIPT, Loader.AUTO)


def test_firmware_message_right_after_one_boot_file_chooses_nothing(fleet):
    m1 = fleet.boot(1)
    fleet.happen([*tried(m1, IPXE), *firmware(m1) * 4], 0.1)
    assert loader_of(fleet, m1) is Loader.AUTO
    fleet.happen([*m1.dhcp(Program.IPXE), *m1.get(WebKind.MENU)])
    assert (loader_of(fleet, m1), fleet[m1].recipe.is_refused) == (Loader.AUTO, False)


def test_shim_that_starts_and_leads_to_no_script_gives_way(fleet):
    m1 = fleet.boot(1)
    fleet.happen(tried(m1, IPXE, 2), 0.5)
    mok = fetched(m1, "shim/x64/mmx64.efi")
    fleet.happen([*tried(m1, SHIM), fetched(m1, GRUB), mok] * 3, BETWEEN)
    assert loader_of(fleet, m1) is Loader.IPXE_SNP


def test_what_shim_itself_fetches_is_not_another_boot(fleet):
    m1 = fleet.boot(1)
    fleet.happen(tried(m1, IPXE, 2), 0.5)
    fleet.happen([*tried(m1, SHIM), fetched(m1, GRUB), fetched(m1, GRUB)] * 2, BETWEEN)
    assert loader_of(fleet, m1) is Loader.SHIM


def test_silence_after_a_boot_file_brings_the_next_loader(fleet):
    m1 = fleet.boot(1)
    fleet.happen(tried(m1, IPXE))
    fleet.clock.now += recipes.SILENT_SECONDS - 1
    fleet.registry.tell_silences(fleet.clock.now)
    assert loader_of(fleet, m1) is Loader.AUTO
    fleet.clock.now += 2
    fleet.registry.tell_silences(fleet.clock.now)
    assert loader_of(fleet, m1) is Loader.IPXE_SNP


def test_operator_is_told_to_reset_a_machine_that_hangs(fleet):
    m1 = fleet.boot(1)
    fleet.happen(tried(m1, IPXE))
    fleet.clock.now += 2 * recipes.SILENT_SECONDS
    fleet.registry.tell_silences(fleet.clock.now)
    assert fleet[m1].condition.hint == (
        "m1 fetched efi/ipxe.efi, and nothing followed for two minutes; it gets efi/snponly.efi now. Reset it."
    )


def test_silence_that_goes_on_brings_no_further_loader(fleet):
    m1 = fleet.boot(1)
    fleet.happen(tried(m1, IPXE))
    for _ in range(3):
        fleet.clock.now += 10 * recipes.SILENT_SECONDS
        fleet.registry.tell_silences(fleet.clock.now)
    assert loader_of(fleet, m1) is Loader.IPXE_SNP
    assert len(list(fleet.of(LoaderSilent))) == 1


def test_silence_changes_nothing_where_the_boot_file_is_known_to_start(fleet):
    m1 = fleet.boot(1)
    fleet.happen(to_script(m1, IPXE))
    fleet.happen(Ordered(m1.host, "reinstall"))
    fleet.happen(tried(m1, IPXE))
    fleet.clock.now += 10 * recipes.SILENT_SECONDS
    fleet.registry.tell_silences(fleet.clock.now)
    assert loader_of(fleet, m1) is Loader.AUTO


@pytest.mark.parametrize("why", ["known to start", "of the operator", "the only one"])
def test_silence_that_brings_no_other_loader_is_noted_once(tmp_path, why):
    """A machine that is switched off must not fill the journal."""
    loader = Loader.IPXE if why == "of the operator" else Loader.AUTO
    fleet = Fleet(tmp_path, with_loaders(tmp_path, IPXE, loader=loader))
    m1 = fleet.boot(1)
    fleet.registry._rules[m1.host] = replace(fleet.registry._rules[m1.host], has_file=lambda path: path == IPXE)
    fleet.happen([*to_script(m1, IPXE), Ordered(m1.host, "reinstall")] if why == "known to start" else [])
    fleet.happen(tried(m1, IPXE))
    for _ in range(3):
        fleet.clock.now += 2 * recipes.SILENT_SECONDS
        fleet.registry.tell_silences(fleet.clock.now)
    assert len(list(fleet.of(LoaderSilent))) == 1
    fleet.happen(tried(m1, IPXE))
    fleet.clock.now += 2 * recipes.SILENT_SECONDS
    fleet.registry.tell_silences(fleet.clock.now)
    assert len(list(fleet.of(LoaderSilent))) == 2
    fleet.journal.close()


def test_silence_before_the_appliance_listened_is_none(tmp_path):
    cluster = with_loaders(tmp_path, IPXE, SNP, SHIM, GRUB)
    fleet = Fleet(tmp_path, cluster)
    m1 = fleet.boot(1)
    fleet.happen(tried(m1, IPXE))
    fleet.journal.close()
    again = Fleet(tmp_path, cluster)
    started_at = again.registry.now()
    again.registry.tell_silences(started_at + recipes.SILENT_SECONDS - 1)
    assert loader_of(again, m1) is Loader.AUTO
    again.registry.tell_silences(started_at + recipes.SILENT_SECONDS + 1)
    assert loader_of(again, m1) is Loader.IPXE_SNP
    again.journal.close()


def test_machine_that_reaches_its_script_keeps_the_loader(fleet):
    m1 = fleet.boot(1)
    fleet.happen(tried(m1, IPXE, 3), BETWEEN)
    fleet.happen(to_script(m1, SNP))
    assert fleet[m1].recipe.worked == "ipxe-snp"
    assert fleet[m1].condition is None
    assert "`loader: ipxe-snp` in cluster.yaml makes it begin there" in list(fleet.of(RecipeChosen))[-1].why


@pytest.mark.parametrize("what", [WebKind.WAIT, WebKind.MENU, WebKind.SCRIPT])
def test_any_script_shows_that_the_loader_started(fleet, what):
    m1 = fleet.boot(1)
    fleet.happen([*tried(m1, IPXE), *m1.dhcp(Program.IPXE), *m1.get(what)])
    assert (fleet[m1].recipe.worked, fleet[m1].recipe.loads) == ("auto", 0)


def test_loader_through_which_a_machine_boots_its_disk_each_time_does_not_stall(tmp_path):
    host = {"install": Install.NEVER, "local_boot": LocalBoot.EXIT}
    fleet = Fleet(tmp_path, with_loaders(tmp_path, IPXE, SNP, SHIM, GRUB, **host))
    m1 = fleet.boot(1)
    fleet.happen([*tried(m1, IPXE), *m1.dhcp(Program.IPXE), *m1.get(WebKind.LOCAL)] * 3, BETWEEN)
    assert (fleet[m1].condition, loader_of(fleet, m1)) == (None, Loader.AUTO)
    fleet.journal.close()


def test_slow_machine_that_reaches_its_script_after_all_returns_to_what_it_did_that_with(fleet):
    m1 = fleet.boot(1)
    fleet.happen(tried(m1, IPXE))
    fleet.clock.now += 2 * recipes.SILENT_SECONDS
    fleet.registry.tell_silences(fleet.clock.now)
    assert loader_of(fleet, m1) is Loader.IPXE_SNP
    fleet.happen([*m1.dhcp(Program.IPXE), *m1.get(WebKind.MENU)])
    assert loader_of(fleet, m1) is Loader.AUTO


def test_reinstall_keeps_what_worked(fleet):
    m1 = fleet.boot(1)
    fleet.happen(tried(m1, IPXE, 3), BETWEEN)
    fleet.happen(to_script(m1, SNP))
    fleet.happen(Ordered(m1.host, "reinstall"))
    assert (fleet[m1].stage, loader_of(fleet, m1)) == (Stage.WAITING, Loader.IPXE_SNP)


def test_reset_while_it_installs_keeps_what_worked(fleet):
    m1 = fleet.boot(1)
    fleet.happen(tried(m1, IPXE, 3), BETWEEN)
    fleet.happen(to_script(m1, SNP))
    fleet.happen(tried(m1, SNP), BETWEEN)
    assert fleet[m1].number == 2
    assert loader_of(fleet, m1) is Loader.IPXE_SNP


def test_other_machine_of_the_same_vendor_class_begins_with_what_worked(fleet):
    m1, m2 = fleet.boot(1), fleet.boot(2)
    fleet.happen(tried(m1, IPXE, 3), BETWEEN)
    assert loader_of(fleet, m2) is Loader.AUTO
    fleet.happen(to_script(m1, SNP))
    assert loader_of(fleet, m2) is Loader.IPXE_SNP
    assert recipes.loader_of(fleet[m2], fleet.registry.beginnings, "x64-uefi other") is Loader.AUTO


def test_machine_with_experience_of_its_own_does_not_follow_its_class(fleet):
    m1, m2 = fleet.boot(1), fleet.boot(2)
    fleet.happen(to_script(m2, IPXE))
    fleet.happen([*tried(m1, IPXE, 3), *to_script(m1, SNP)], BETWEEN)
    assert loader_of(fleet, m2) is Loader.AUTO


def test_class_that_a_message_names_later_does_not_begin_with_what_worked(fleet):
    """One datagram names it, which anyone can send."""
    m1, m2 = fleet.boot(1), fleet.boot(2)
    fleet.happen([*tried(m1, IPXE, 3), *to_script(m1, SNP)], BETWEEN)
    fleet.happen(firmware(m1, vendor="PXEClient of another vendor"))
    fleet.registry.update([fleet.cluster])
    begins = [
        recipes.loader_of(fleet[m2], fleet.registry.beginnings, f"x64-uefi {vendor}")
        for vendor in (VENDOR, "PXEClient of another vendor")
    ]
    assert begins == [Loader.IPXE_SNP, Loader.AUTO]


def test_machine_that_names_another_class_at_each_boot_is_remembered_by_its_last(fleet):
    m1, hosts = fleet.boot(1), len(fleet.cluster.hosts)
    for times in range(3 * hosts):
        boot = [*firmware(m1, vendor=f"PXEClient {times}"), fetched(m1, IPXE), *m1.get(WebKind.MENU)]
        fleet.happen(boot)
        assert f"x64-uefi PXEClient {times}" in fleet.registry.beginnings
    assert len(fleet.registry.beginnings) <= hosts


def test_what_worked_survives_a_restart(tmp_path):
    cluster = with_loaders(tmp_path, IPXE, SNP, SHIM, GRUB)
    fleet = Fleet(tmp_path, cluster)
    m1, m2 = fleet.boot(1), fleet.boot(2)
    fleet.happen([*tried(m1, IPXE, 3), *to_script(m1, SNP)], BETWEEN)
    fleet.journal.close()
    again = Fleet(tmp_path, cluster)
    assert (loader_of(again, m1), loader_of(again, m2)) == (Loader.IPXE_SNP, Loader.IPXE_SNP)
    again.journal.close()


@pytest.mark.parametrize("loader", [Loader.IPXE, Loader.SHIM, "efi/own.efi"])
def test_loader_of_the_operator_stays_whatever_happens(tmp_path, loader):
    fleet = Fleet(tmp_path, with_loaders(tmp_path, IPXE, SNP, SHIM, GRUB, "efi/own.efi", loader=loader))
    m1 = fleet.boot(1)
    path = loader if loader == "efi/own.efi" else IPXE
    fleet.happen(tried(m1, path, 6), BETWEEN)
    fleet.happen([broken(m1)] * 9)
    assert (fleet[m1].recipe.loader, fleet[m1].recipe.block_bytes) == ("", 0)
    assert not list(fleet.of(RecipeChosen))
    fleet.journal.close()


def test_three_transfers_that_break_off_bring_small_blocks(fleet):
    m1 = fleet.boot(1)
    fleet.happen([*firmware(m1), broken(m1), broken(m1)])
    assert fleet[m1].recipe.block_bytes == 0
    fleet.happen(broken(m1))
    assert fleet[m1].recipe.block_bytes == 512
    assert fleet[m1].condition.name == "loader-stalled"
    assert "it gets blocks of 512 bytes now" in fleet[m1].condition.hint


def test_small_blocks_that_do_not_help_are_given_up(fleet):
    m1 = fleet.boot(1)
    fleet.happen([*firmware(m1), *[broken(m1)] * 6])
    assert fleet[m1].recipe.block_bytes == 0
    assert fleet[m1].condition.name == "loader-stalled"


def test_small_blocks_that_work_are_kept_over_reinstall(fleet):
    m1 = fleet.boot(1)
    fleet.happen([*firmware(m1), *[broken(m1)] * 3, *to_script(m1, IPXE), Ordered(m1.host, "reinstall")])
    assert fleet[m1].recipe.block_bytes == 512


def test_transfers_that_nobody_answered_count_for_nothing(fleet):
    m1 = fleet.boot(1)
    fleet.happen([*firmware(m1), *[broken(m1, is_answered=False)] * 9])
    assert fleet[m1].recipe.block_bytes == 0


def test_whole_transfer_between_them_shows_that_blocks_arrive(fleet):
    m1 = fleet.boot(1)
    fleet.happen([*firmware(m1), broken(m1), broken(m1), fetched(m1, IPXE), broken(m1), broken(m1)], BETWEEN)
    assert fleet[m1].recipe.block_bytes == 0


def test_loader_that_is_removed_gives_way_to_the_first(fleet, tmp_path):
    m1 = fleet.boot(1)
    fleet.registry._rules[m1.host] = replace(
        fleet.registry._rules[m1.host], has_file=lambda path: (tmp_path / "tftp" / path).is_file()
    )
    fleet.happen([*tried(m1, IPXE, 3), *to_script(m1, SNP), Ordered(m1.host, "reinstall")], BETWEEN)
    (tmp_path / "tftp" / SNP).unlink()
    fleet.happen([*firmware(m1), TftpFailed(m1.host, m1.address, SNP, "not-found")])
    assert loader_of(fleet, m1) is Loader.AUTO


def test_request_for_another_loader_that_is_missing_takes_none_away(tmp_path):
    """It is one datagram, which anyone can send from the host's address."""
    fleet = Fleet(tmp_path, with_loaders(tmp_path, IPXE, SHIM, GRUB))
    m1 = fleet.boot(1)
    fleet.registry._rules[m1.host] = replace(
        fleet.registry._rules[m1.host], has_file=lambda path: (tmp_path / "tftp" / path).is_file()
    )
    fleet.happen(tried(m1, IPXE, 2), 0.5)
    fleet.happen([*to_script(m1, SHIM), Ordered(m1.host, "reinstall")], BETWEEN)
    fleet.happen(TftpFailed(m1.host, m1.address, SNP, "not-found", is_answered=False))
    assert loader_of(fleet, m1) is Loader.SHIM
    fleet.journal.close()


@pytest.mark.parametrize(("missing", "expected"), [(SNP, Loader.AUTO), (SHIM, Loader.IPXE_SNP)])
def test_machine_that_was_never_seen_goes_by_its_class_unless_that_loader_is_gone(tmp_path, missing, expected):
    fleet = Fleet(tmp_path, with_loaders(tmp_path, IPXE, SNP, SHIM, GRUB))
    m1, m2 = fleet.boot(1), fleet.boot(2)
    fleet.registry._rules[m2.host] = replace(
        fleet.registry._rules[m2.host], has_file=lambda path: (tmp_path / "tftp" / path).is_file()
    )
    fleet.happen([*tried(m1, IPXE, 3), *to_script(m1, SNP)], BETWEEN)
    (tmp_path / "tftp" / missing).unlink()
    fleet.happen([*firmware(m2), TftpFailed(m2.host, m2.address, missing, "not-found", is_answered=False)])
    assert loader_of(fleet, m2) is expected
    fleet.journal.close()


def test_machine_whose_own_ipxe_lacks_http_is_named_in_the_condition(fleet):
    m1 = fleet.boot(1)
    poor = [*firmware(m1, vendor="iPXE without HTTP"), fetched(m1, IPXE)]
    fleet.happen(poor * 3, BETWEEN)
    assert fleet[m1].condition.hint.startswith("m1 (iPXE without HTTP) fetched efi/ipxe.efi three times")


def test_line_for_cluster_yaml_is_what_worked(fleet):
    m1 = fleet.boot(1)
    host = fleet.registry.hosts[m1.host]
    fleet.happen(tried(m1, IPXE, 3), BETWEEN)
    assert recipes.lasting(host, fleet[m1]) == ""
    fleet.happen(to_script(m1, SNP))
    assert recipes.lasting(host, fleet[m1]) == "loader: ipxe-snp"
    assert recipes.lasting(replace(host, loader=Loader.IPXE_SNP), fleet[m1]) == ""


def test_recipes_change_no_order(fleet):
    m1 = fleet.boot(1)
    for path in (IPXE, SNP, SHIM):
        fleet.happen(tried(m1, path, 3), BETWEEN)
        assert fleet[m1].order is Order.INSTALL
        assert fleet[m1].number == 1


def test_record_of_a_version_without_recipes_begins_where_auto_does(fleet):
    assert recipes.loader_of(Installation("m1"), {}, KIND) is Loader.AUTO
