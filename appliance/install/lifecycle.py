"""The life of an installation: its stages, and the table of transitions that moves it.

`advance` takes the record of one host and one event, and returns the record after
it. It is pure: the time is an argument, and no event concerns two hosts, so a fleet is
a dict of records. Three steps:

    event -> evidence.finding_of -> Finding          one word, and a few facts
    (evidence, state) -> TABLES                      the table below
    Move.effect(record, ...) -> record               effects.py, doubts.py, balancing.py; leads to Move.to

The stages (installation.Stage), from the network to the running system:

    WAITING --> FIRMWARE --> LOADER --> BOOTLOADER --> SCRIPT --> KERNEL --> INITRAMFS
                DHCP         boot       iPXE or GRUB   its own                   |
                             file       runs           script                    |
      +--------------------------------------------------------------------------+
      |
      |  live (4.6 and later): the rootfs first, then Ignition
      +--> IMAGE ------------ Ignition sent -----------> IGNITION
      |
      |  agent-based, or an image for an added node: Ignition is in the initramfs
      +--> IMAGE ------------ rootfs complete ---------> IGNITION
      |
      |  legacy (4.1 to 4.5), and in place: Ignition first, then the image
      +--> INITRAMFS --------------> IMAGE ------------> IGNITION
           Ignition sent,            image               image
           the stage stays           begun               complete

    IGNITION ------> SETTLED -------> INSTALLED ------> BOOTED -------> JOINING
             time to         back at            DHCP by         asks for
             write passed    firmware           its system      api-int, or connects to it

    SCRIPT ... IGNITION --- firmware or iPXE asks again, and then
                            the boot file or the script is fetched,
                            while no installer takes a byte --------+
    IGNITION -------------- the script is fetched again ------------+--> a new record
    any stage ------------- `reinstall` ----------------------------+    (with a new token)

A machine may enter late: firmware that is itself an iPXE begins at BOOTLOADER, and a
machine that has its loader on a disk begins at SCRIPT. A stage that is skipped has
no time in `reached`, and nothing else depends on it.

**A try ends when its successor has shown itself.** A DHCP message can be forged with
one datagram, and the machine whose name it bears may be in the middle of its
installation. So the message alone is noted (`returned_at`) and ends nothing. A boot
file that was fetched whole, or a script, takes a client that receives at the host's
address; and an installer that still takes bytes was not reset, whoever fetches them.
Where that is misjudged, nothing is lost: all tries have the same token, so a machine
that is back goes on in the old record, and an installer that was taken for gone goes on
in the new one. Only a try that was silent for ten minutes ends by DHCP alone.

**SETTLED** is a state of this table and not a stage: the record is at IGNITION with
`is_settled` set. A disk cannot be seen from the network. A machine that wrote its
disk and one that was reset while it wrote both come back to their firmware;
only the time distinguishes them. A DHCP message before that time is noted as above: if the
boot file follows before the time has passed, the machine was reset. No installer unpacks its image faster than
WRITE_BYTES_PER_SECOND of download, so a host that is back sooner did not finish
and installs again; a host that is back later counts as installed and boots its disk.
For 900 MB that is 9 seconds; real machines take half a minute and more. The
registry's clock sends InstallSettled when the time has passed, before the host is
back, so that its first OFFER has no boot file already.

A live system that installs a whole cluster (in place), or waits for the other hosts
of one (agent-based), works for a quarter of an hour and more after it has everything,
and is silent. LEAST_INSTALLATION_SECONDS is what no such machine is faster than, so a
host that is back sooner was reset, however often: that is never believed. One that is
back later counts as installed and boots its disk, although somebody may have reset it:
in doubt, no disk is wiped. If there is no system, `not-booting` says so. Its live
system may start the control plane itself and then asks for api-int (Rules.leads), which
proves a system from INSTALLED on only.

Two errors remain, and neither is a loop. A host that was reset late in its writing
counts as installed and never boots: the condition `not-booting` reports it. A host
that really was faster installs once more, and is believed the second time
(`early_returns`).

**In doubt, no disk is wiped.** From INSTALLED on, only the operator's `reinstall`
(or `install: always`) begins a new record. A host without a history may run a
system of this cluster already, because the appliance is new. Then its address asks for
api-int before it has fetched a script, and what that is worth depends on the sender:

    over UDP        proves nothing, because one datagram with the host's address does
                    it: the host waits, with the doubt `may-be-running` (`suspect`)
    over TCP, or    proves a running system, which counts as installed
    our own look    (`find_running`), and so ends the doubt; so does a
                    connection through the load balancer

The operator ends a doubt too. By itself it ends only if we looked right after the
query and found no system, and no other query came for a quarter of an hour
(`lapse`). A node that restarts sends none while it waits in iPXE, so without a look
it waits for the operator. A DHCP request without network boot options proves
little, because the live installer renews its lease too; a DISCOVER proves a new
system, and only once the disk could be written.

**Ignition** (see guard.py) is given between SCRIPT and IGNITION; `delivered_at`
says when, since the two releases fetch it at different stages. In both, IGNITION
means that the host has everything and writes its disk.

`install:` in cluster.yaml changes a few lines of the table: with `always` an
installed host that boots from the network begins a new record, and with `never` a
system that is heard counts as installed at every stage.

The drawing and the table are in one file, although it is long, so that a change of
one is seen beside the other.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import IntEnum
from typing import NamedTuple

from appliance.events import Stamped
from appliance.install import balancing, doubts, effects, recipes
from appliance.install.effects import Effect, Move
from appliance.install.evidence import OF_EVERY_HOST, Evidence, Finding, finding_of
from appliance.install.installation import (
    FILE_MISSING,
    MAY_BE_RUNNING,
    READY,
    TOLD_TO_WAIT,
    Installation,
    Rules,
    Stage,
    order_of,
)
from appliance.model import Boot, DhcpMode, Install


class State(IntEnum):
    """Where a record is in the table: its stage, or SETTLED once it has had the time to write its disk."""

    WAITING = 0
    FIRMWARE = 1
    LOADER = 2
    BOOTLOADER = 3
    SCRIPT = 4
    KERNEL = 5
    INITRAMFS = 6
    IMAGE = 7
    IGNITION = 8
    SETTLED = 9
    INSTALLED = 10
    BOOTED = 11
    JOINING = 12


WAITING, FIRMWARE, LOADER, BOOTLOADER, SCRIPT, KERNEL, INITRAMFS = list(State)[:7]
IMAGE, IGNITION, SETTLED, INSTALLED, BOOTED, JOINING = list(State)[7:]


class Transition(NamedTuple):
    """A row of the table: what a piece of evidence does at the states from *first* to *last*."""

    first: State
    last: State
    effect: Effect | None = None  # None: it changes nothing
    to: Stage | None = None  # None: the stage stays
    name: str = ""  # what it counts or complains of, see effects.Move


# A client of TCP receives at the host's address: the handshake went there and came back.
_SYSTEM_BY_TCP = (
    Transition(WAITING, BOOTLOADER, doubts.find_running, Stage.JOINING),
    Transition(SCRIPT, IGNITION),
    Transition(SETTLED, BOOTED, doubts.prove_system, Stage.JOINING),
    Transition(JOINING, JOINING, doubts.prove_system),
)
# The same where somebody else installs the host.
_FOREIGN_SYSTEM_BY_TCP = (
    Transition(WAITING, BOOTED, doubts.prove_system, Stage.JOINING),
    Transition(JOINING, JOINING, doubts.prove_system),
)

# The rows of each piece of evidence, which together cover every state exactly once.
TRANSITIONS: Mapping[Evidence, tuple[Transition, ...]] = {
    # DHCP. Firmware tries its boot entries in turn, so it may request an address again until its script is sent. A
    # script may do so too (iPXE's `dhcp`), until it fetches the kernel. After that a message is a machine that was
    # reset, or a forged datagram: what it fetches shows which.
    Evidence.FIRMWARE_OFFERED: (
        Transition(WAITING, WAITING, effects.arrive, Stage.FIRMWARE, "firmware-offer"),
        Transition(FIRMWARE, BOOTLOADER, effects.count, None, "firmware-offer"),
        Transition(SCRIPT, IGNITION, effects.come_back, Stage.FIRMWARE),
        Transition(SETTLED, SETTLED, effects.finish, Stage.INSTALLED),
        Transition(INSTALLED, JOINING, effects.knock),
    ),
    Evidence.FIRMWARE_ACKED: (
        Transition(WAITING, WAITING, effects.arrive, Stage.FIRMWARE, "firmware-ack"),
        Transition(FIRMWARE, BOOTLOADER, effects.count, None, "firmware-ack"),
        Transition(SCRIPT, IGNITION, effects.come_back, Stage.FIRMWARE),
        Transition(SETTLED, SETTLED, effects.finish, Stage.INSTALLED),
        Transition(INSTALLED, JOINING, effects.knock),
    ),
    Evidence.IPXE_OFFERED: (
        Transition(WAITING, LOADER, effects.arrive, Stage.BOOTLOADER, "ipxe-offer"),
        Transition(BOOTLOADER, SCRIPT, effects.count, None, "ipxe-offer"),
        Transition(KERNEL, IGNITION, effects.come_back, Stage.BOOTLOADER),
        Transition(SETTLED, SETTLED, effects.finish, Stage.INSTALLED),
        Transition(INSTALLED, JOINING, effects.knock),
    ),
    Evidence.IPXE_ACKED: (
        Transition(WAITING, LOADER, effects.arrive, Stage.BOOTLOADER, "ipxe-ack"),
        Transition(BOOTLOADER, SCRIPT, effects.count, None, "ipxe-ack"),
        Transition(KERNEL, IGNITION, effects.come_back, Stage.BOOTLOADER),
        Transition(SETTLED, SETTLED, effects.finish, Stage.INSTALLED),
        Transition(INSTALLED, JOINING, effects.knock),
    ),
    Evidence.SYSTEM_DISCOVERED: (
        Transition(WAITING, IGNITION),  # the installer's own system
        Transition(SETTLED, INSTALLED, effects.start_system, Stage.BOOTED),
        Transition(BOOTED, JOINING, effects.start_system),
    ),
    Evidence.SYSTEM_ACKED: (
        Transition(WAITING, SETTLED, effects.note_dhcp),  # the live installer renews its lease while it writes, too
        Transition(INSTALLED, INSTALLED, effects.start_system, Stage.BOOTED),
        Transition(BOOTED, JOINING, effects.start_system),
    ),
    Evidence.ADDRESS_DECLINED: (Transition(WAITING, JOINING, effects.complain, None, "address-conflict"),),
    # Boot files. Only TFTP counts at WAITING: nothing but firmware fetches them that way.
    Evidence.LOADER_FETCHED_BY_TFTP: (
        Transition(WAITING, FIRMWARE, effects.arrive, Stage.LOADER, "loader"),
        Transition(LOADER, BOOTLOADER, effects.count, None, "loader"),
        Transition(SCRIPT, IGNITION, effects.load_again, Stage.LOADER, "loader"),
        Transition(SETTLED, SETTLED, effects.count, None, "loader"),
        Transition(INSTALLED, JOINING),
    ),
    Evidence.LOADER_FETCHED_BY_HTTP: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, FIRMWARE, effects.arrive, Stage.LOADER, "loader"),
        Transition(LOADER, BOOTLOADER, effects.count, None, "loader"),
        Transition(SCRIPT, IGNITION, effects.load_again, Stage.LOADER, "loader"),
        Transition(SETTLED, SETTLED, effects.count, None, "loader"),
        Transition(INSTALLED, JOINING),
    ),
    # GRUB sends no DHCP message of its own. It counts only for a machine that was seen to boot.
    Evidence.GRUB_FETCHED: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, LOADER, effects.arrive, Stage.BOOTLOADER, "grub"),
        Transition(BOOTLOADER, SCRIPT, effects.count, None, "grub"),
        Transition(KERNEL, IGNITION, effects.load_again, Stage.BOOTLOADER, "grub"),
        Transition(SETTLED, SETTLED, effects.count, None, "grub"),
        Transition(INSTALLED, JOINING),
    ),
    Evidence.LOADER_FAILED: (
        Transition(WAITING, LOADER, effects.count, None, "loader-failed"),
        Transition(BOOTLOADER, JOINING),
    ),
    Evidence.LOADER_BROKEN: (
        Transition(WAITING, LOADER, effects.count, None, "loader-failed"),
        Transition(BOOTLOADER, JOINING),
    ),
    Evidence.LOADER_SILENT: (
        Transition(WAITING, FIRMWARE),
        Transition(LOADER, LOADER, recipes.fall_silent),
        Transition(BOOTLOADER, JOINING),
    ),
    Evidence.LOADER_MISSING_ON_TFTP: (
        Transition(WAITING, LOADER, effects.complain, None, FILE_MISSING),
        Transition(BOOTLOADER, JOINING),
    ),
    Evidence.LOADER_MISSING_ON_HTTP: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, LOADER, effects.complain, None, FILE_MISSING),
        Transition(BOOTLOADER, JOINING),
    ),
    # Scripts. From SCRIPT on, another script is a repetition, and once Ignition was sent it is a reset.
    Evidence.SCRIPT_SENT: (
        Transition(WAITING, IGNITION, effects.send_script, Stage.SCRIPT, "script"),
        Transition(SETTLED, SETTLED, effects.finish, Stage.INSTALLED),
        Transition(INSTALLED, JOINING),
    ),
    Evidence.WAIT_SENT: (
        Transition(WAITING, IMAGE, effects.tell_to_wait, None, TOLD_TO_WAIT),
        Transition(IGNITION, IGNITION, effects.tell_to_wait, Stage.BOOTLOADER, TOLD_TO_WAIT),
        Transition(SETTLED, SETTLED, effects.finish, Stage.INSTALLED),
        Transition(INSTALLED, JOINING),
    ),
    Evidence.SCRIPT_HELD_BACK: (
        Transition(WAITING, IMAGE, effects.hold_back, None, FILE_MISSING),
        Transition(IGNITION, IGNITION, effects.hold_back, Stage.BOOTLOADER, FILE_MISSING),
        Transition(SETTLED, SETTLED, effects.complain, None, FILE_MISSING),
        Transition(INSTALLED, JOINING),
    ),
    Evidence.LOCAL_SENT: (
        Transition(WAITING, IGNITION, effects.start_disk),
        Transition(SETTLED, SETTLED, effects.finish, Stage.INSTALLED),
        Transition(INSTALLED, JOINING),
    ),
    # Images. They count only for a machine that was seen to boot: a download from a running system
    # installs nothing.
    Evidence.KERNEL_BEGUN: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, SCRIPT, effects.arrive, Stage.KERNEL),
        Transition(KERNEL, JOINING),
    ),
    Evidence.INITRAMFS_BEGUN: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, KERNEL, effects.arrive, Stage.INITRAMFS),
        Transition(INITRAMFS, JOINING),
    ),
    Evidence.INITRAMFS_COMPLETE: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, SETTLED, effects.complete_initramfs),
        Transition(INSTALLED, JOINING),
    ),
    Evidence.INITRAMFS_FETCHED_BY_TFTP: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, KERNEL, effects.fetch_initramfs, Stage.INITRAMFS),
        Transition(INITRAMFS, SETTLED, effects.complete_initramfs),
        Transition(INSTALLED, JOINING),
    ),
    Evidence.ROOTFS_BEGUN: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, INITRAMFS, effects.begin_rootfs, Stage.IMAGE),
        Transition(IMAGE, SETTLED, effects.begin_rootfs),
        Transition(INSTALLED, JOINING),
    ),
    Evidence.ROOTFS_COMPLETE: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, IMAGE, effects.complete_rootfs, Stage.IGNITION),
        Transition(IGNITION, SETTLED, effects.complete_rootfs),
        Transition(INSTALLED, JOINING),
    ),
    Evidence.DISK_IMAGE_BEGUN: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, INITRAMFS, effects.begin_disk_image, Stage.IMAGE),
        Transition(IMAGE, SETTLED, effects.begin_disk_image),
        Transition(INSTALLED, JOINING),
    ),
    Evidence.DISK_IMAGE_COMPLETE: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, IMAGE, effects.complete_disk_image, Stage.IGNITION),
        Transition(IGNITION, SETTLED, effects.complete_disk_image),
        Transition(INSTALLED, JOINING),
    ),
    Evidence.DOWNLOAD_BROKEN: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, SETTLED, effects.count, None, "broken"),
        Transition(INSTALLED, JOINING),
    ),
    Evidence.IMAGE_MISSING: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, SETTLED, effects.complain, None, FILE_MISSING),
        Transition(INSTALLED, JOINING),
    ),
    # Ignition. The guard sends it at the right stage only; the record accepts it at any stage.
    Evidence.IGNITION_DELIVERED: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, IMAGE, effects.deliver_ignition, Stage.IGNITION),
        Transition(IGNITION, SETTLED, effects.deliver_ignition),
        Transition(INSTALLED, JOINING),
    ),
    Evidence.IGNITION_BROKEN: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, SETTLED, effects.withdraw_ignition, None, "broken"),
        Transition(INSTALLED, JOINING),
    ),
    Evidence.IGNITION_POSTPONED: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, SETTLED, effects.postpone_ignition, None, "ignition-waits"),
        Transition(INSTALLED, JOINING),
    ),
    Evidence.IGNITION_REFUSED: (
        Transition(WAITING, WAITING),
        Transition(FIRMWARE, SETTLED, effects.refuse_ignition, None, "ignition-refused"),
        Transition(INSTALLED, JOINING),
    ),
    # Who was not proven to be the host moves nothing.
    Evidence.ADDRESS_TAKEN: (Transition(WAITING, JOINING, effects.complain, None, "address-conflict"),),
    Evidence.DHCP_MISSING: (
        Transition(WAITING, SETTLED, effects.count, None, "no-dhcp"),
        Transition(INSTALLED, JOINING),
    ),
    # The running system, the clock and the operator.
    #
    # One datagram with the host's address is a whole query over UDP, and proves nothing. Until its script is sent, it
    # only makes the host wait. Once the disk is written, it may move the stage: all stages from SETTLED on have the
    # same order, and none gives Ignition to a host that lacks it. It may not hide `not-booting`, see seem_running.
    Evidence.API_INT_ASKED: (
        Transition(WAITING, BOOTLOADER, doubts.suspect, None, MAY_BE_RUNNING),
        Transition(SCRIPT, IGNITION),
        Transition(SETTLED, BOOTED, doubts.seem_running, Stage.JOINING),
        Transition(JOINING, JOINING),
    ),
    Evidence.API_INT_ASKED_BY_TCP: _SYSTEM_BY_TCP,
    # To the machine config server, which an installed system asks when it first starts, or to the API. No program of
    # the appliance's or of an installer does either, but the live system that leads an installation (Rules.leads).
    Evidence.BALANCER_REACHED: _SYSTEM_BY_TCP,
    # The live installer listens on port 22 as well, so the look proves nothing between SCRIPT and SETTLED.
    Evidence.SYSTEM_ANSWERED: (
        Transition(WAITING, BOOTLOADER, doubts.find_running, Stage.JOINING),
        Transition(SCRIPT, SETTLED),
        Transition(INSTALLED, INSTALLED, doubts.prove_system, Stage.BOOTED),
        Transition(BOOTED, JOINING, doubts.prove_system),
    ),
    Evidence.SYSTEM_UNANSWERED: (Transition(WAITING, JOINING, doubts.look_in_vain),),
    Evidence.DOUBT_LAPSED: (Transition(WAITING, JOINING, doubts.lapse),),
    Evidence.WRITE_TIME_PASSED: (Transition(WAITING, JOINING, effects.settle),),
    Evidence.REINSTALL_ORDERED: (Transition(WAITING, JOINING, effects.reinstall, Stage.WAITING),),
    Evidence.HOLD_ORDERED: (Transition(WAITING, JOINING, effects.hold),),
    Evidence.RELEASE_ORDERED: (Transition(WAITING, JOINING, effects.release),),
    Evidence.ADOPT_ORDERED: (Transition(WAITING, JOINING, effects.adopt, Stage.INSTALLED),),
    # The load balancer. None of these changes how a host is installed.
    Evidence.BOOTSTRAP_COMPLETED: (Transition(WAITING, JOINING, balancing.complete_bootstrapping),),
    Evidence.READY_ORDERED: (Transition(WAITING, JOINING, balancing.order_balancer, None, READY),),
    Evidence.DRAIN_ORDERED: (Transition(WAITING, JOINING, balancing.order_balancer, None, "drain"),),
    Evidence.MAINT_ORDERED: (Transition(WAITING, JOINING, balancing.order_balancer, None, "maint"),),
}

# With `install: always`, a network boot of an installed host is a new try.
ALWAYS: Mapping[Evidence, tuple[Transition, ...]] = {
    Evidence.FIRMWARE_OFFERED: (
        *TRANSITIONS[Evidence.FIRMWARE_OFFERED][:-1],
        Transition(INSTALLED, JOINING, effects.start_again, Stage.FIRMWARE),
    ),
    Evidence.FIRMWARE_ACKED: (
        *TRANSITIONS[Evidence.FIRMWARE_ACKED][:-1],
        Transition(INSTALLED, JOINING, effects.start_again, Stage.FIRMWARE),
    ),
    Evidence.IPXE_OFFERED: (
        *TRANSITIONS[Evidence.IPXE_OFFERED][:-1],
        Transition(INSTALLED, JOINING, effects.start_again, Stage.BOOTLOADER),
    ),
    Evidence.IPXE_ACKED: (
        *TRANSITIONS[Evidence.IPXE_ACKED][:-1],
        Transition(INSTALLED, JOINING, effects.start_again, Stage.BOOTLOADER),
    ),
    Evidence.SCRIPT_SENT: (Transition(WAITING, JOINING, effects.send_script, Stage.SCRIPT, "script"),),
    # The operator has said that its disk may be wiped, whatever runs on it.
    Evidence.API_INT_ASKED: (
        Transition(WAITING, IGNITION),
        *TRANSITIONS[Evidence.API_INT_ASKED][-2:],
    ),
}

# With `install: never`, a system that is heard was installed by somebody else.
NEVER: Mapping[Evidence, tuple[Transition, ...]] = {
    Evidence.SYSTEM_DISCOVERED: (
        Transition(WAITING, INSTALLED, effects.start_system, Stage.BOOTED),
        Transition(BOOTED, JOINING, effects.start_system),
    ),
    Evidence.SYSTEM_ACKED: (
        Transition(WAITING, INSTALLED, effects.start_system, Stage.BOOTED),
        Transition(BOOTED, JOINING, effects.start_system),
    ),
    # It boots its disk at every stage, so that a forged query could change no more than the stage.
    Evidence.API_INT_ASKED: (
        Transition(WAITING, BOOTED, doubts.seem_running, Stage.JOINING),
        Transition(JOINING, JOINING),
    ),
    Evidence.API_INT_ASKED_BY_TCP: _FOREIGN_SYSTEM_BY_TCP,
    Evidence.BALANCER_REACHED: _FOREIGN_SYSTEM_BY_TCP,
    Evidence.SYSTEM_ANSWERED: (
        Transition(WAITING, INSTALLED, doubts.prove_system, Stage.BOOTED),
        Transition(BOOTED, JOINING, doubts.prove_system),
    ),
}

TABLES: Mapping[Install, Mapping[Evidence, tuple[Transition, ...]]] = {
    Install.ONCE: TRANSITIONS,
    Install.ALWAYS: {**TRANSITIONS, **ALWAYS},
    Install.NEVER: {**TRANSITIONS, **NEVER},
}


def _moves(rows: tuple[Transition, ...]) -> tuple[Move | None, ...]:
    """Return the move at each state, by the state's number."""
    return tuple(
        Move(row.effect, row.to, row.name) if row.effect else None
        for row in rows
        for _ in range(row.first, row.last + 1)
    )


# The same tables in the form for lookups, because DHCP waits for them: a dict and a tuple, 0.1 µs.
_MOVES = {install: {evidence: _moves(rows) for evidence, rows in table.items()} for install, table in TABLES.items()}
# What shows that our DHCP server has answered a machine that boots, by the server's mode. In proxy mode it assigns no
# address, so that there is no ACK but to firmware that asks for its boot file at port 4011.
_ACKS = frozenset({Evidence.FIRMWARE_ACKED, Evidence.IPXE_ACKED})
_OFFERS = frozenset({Evidence.FIRMWARE_OFFERED, Evidence.IPXE_OFFERED})
_DHCP = {DhcpMode.FULL: _ACKS, DhcpMode.PROXY: _ACKS | _OFFERS, DhcpMode.OFF: frozenset[Evidence]()}
_STATE_OF_STAGE = tuple(State[stage.name] for stage in Stage)


def state_of(installation: Installation) -> State:
    """Return where *installation* is in the table."""
    if installation.is_settled and installation.stage < Stage.INSTALLED:
        return SETTLED
    return _STATE_OF_STAGE[installation.stage]


def advance(installation: Installation, stamped: Stamped, rules: Rules, heard_at: float = 0.0) -> Installation:
    """Return the installation after an event of its host; *installation* itself when nothing changed.

    *heard_at* is when its installer last took a byte, in seconds UTC; 0.0 if that is not known.
    """
    finding = finding_of(stamped.event)
    if finding is None or (rules.boot is Boot.NOTHING and finding.evidence not in OF_EVERY_HOST):
        return installation
    move = _MOVES[rules.install][finding.evidence][state_of(installation)]
    if move is None:
        return installation
    if heard_at:
        finding = finding._replace(heard_at=heard_at)
    after = move.effect(_identified(installation, finding), move, finding, stamped.at, rules)
    after = recipes.followed(after, finding, stamped.at, rules)
    if not after.has_dhcp and finding.evidence in _DHCP[rules.dhcp]:
        after = replace(after, has_dhcp=True)
    if after is installation:
        return installation
    order = order_of(after, rules.install)
    return after if order is after.order else replace(after, order=order)


def _identified(installation: Installation, finding: Finding) -> Installation:
    """Return the installation with the machine that boots; only the DHCP of a network boot has a MAC address."""
    if not finding.mac:
        return installation
    installation = recipes.identified(installation, finding)
    arch = finding.arch or installation.arch
    if (finding.mac, arch) == (installation.mac, installation.arch):
        return installation
    return replace(installation, mac=finding.mac, arch=arch)
