"""HAProxy's configuration as text, from front ends (pure).

It has addresses only: HAProxy resolves no name. What comes from cluster.yaml is one word of the configuration, or it
is refused here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from appliance.balancer.compile import API, MACHINE_CONFIG
from appliance.balancer.log import LOG_FORMAT
from appliance.balancer.membership import Admin, Standing, Standings
from appliance.balancer.versions import DEFAULT, Version
from appliance.model import Balance, Endpoint, FrontEnd, HealthCheck, Member, Probe

# A member whose checks begin to fail gets no new connections after OUT_SECONDS at most, and a new one gets its first
# after IN_SECONDS at most: less than the 30 and 20 seconds that OpenShift allows. That is so if it accepts connections,
# or refuses them, at once: connecting has a time limit of its own, and three checks that use it up take 15 s more.
# Between checks: of a member that works, and of one that does not or whose results begin to change.
INTERVAL_SECONDS, FAST_SECONDS = 5, 2
FALL, RISE = 3, 2  # results in a row that count
CHECK_SECONDS = 5  # for the answer to a check
OUT_SECONDS = INTERVAL_SECONDS + FALL * CHECK_SECONDS + (FALL - 1) * FAST_SECONDS
IN_SECONDS = FAST_SECONDS + RISE * CHECK_SECONDS + (RISE - 1) * FAST_SECONDS

NO_SERVER_STATE = "1\n"  # the version of the format, and no server

# A machine that is off, or whose network is cut, ends no connection. It is noticed after half a minute: by keepalive
# where both sides are silent, and else by data that it does not acknowledge.
KEEPALIVE_IDLE_SECONDS, KEEPALIVE_SECONDS, KEEPALIVE_PROBES = 15, 5, 3
UNACKNOWLEDGED_SECONDS = 30

_WORD = re.compile(r"[A-Za-z0-9_.:-]+", re.ASCII)  # what HAProxy accepts as the name of a front end or server
_LOGGED = (API, MACHINE_CONFIG)  # services: who connects there says how far a node is


@dataclass(frozen=True, slots=True)
class Settings:
    """What a configuration depends on besides the cluster: HAProxy's version, and paths on its machine."""

    version: Version = DEFAULT
    runtime_socket: str = "/run/haproxy/admin.sock"
    log: str = "/dev/log"  # a UNIX datagram socket
    # One whose reader knows LOG_FORMAT and wants to hear of a connection when it begins. Others get HAProxy's own.
    is_our_log: bool = True
    # The file from which a new process restores its servers' states; "" for none. HAProxy warns if it is missing or
    # empty; NO_SERVER_STATE is right for a first start.
    server_state: str = ""
    user: str = ""  # to whom the process changes, and the group; "" for no change
    # By front end, the file with the CA that signs its members' certificates. The others are not verified.
    ca_files: Mapping[str, str] = field(default_factory=dict)
    connections: int = 10_000  # that one front end accepts at a time
    description: str = ""  # one word that the process repeats, by which the appliance knows what it has loaded
    note: str = "Written by ocp-appliance. Changes are overwritten."  # the comment at the top


def packaged(version: Version, note: str) -> Settings:
    """Return the settings for an HAProxy of a distribution's package, on a machine that is none of ours."""
    # Both Debian's and Red Hat's packages have this directory and this user.
    return Settings(version, runtime_socket="/var/lib/haproxy/stats", is_our_log=False, user="haproxy", note=note)


def configuration(front_ends: tuple[FrontEnd, ...], standings: Standings, settings: Settings) -> str:
    """Return HAProxy's configuration. Raises ValueError if it has no words for a name or path."""
    sections = [
        _section("global", _global(settings, len(front_ends))),
        _section("defaults", _defaults(settings)),
        *(_section(f"listen {_word(each.name)}", _listen(each, standings, settings)) for each in front_ends),
    ]
    note = "".join(f"# {_printable(line)}\n" for line in settings.note.splitlines())
    return f"{note}\n" + "\n".join(sections)


def _section(head: str, lines: Iterator[str]) -> str:
    return f"{head}\n" + "".join(f"    {line}\n" for line in lines)


def _global(settings: Settings, front_ends: int) -> Iterator[str]:
    yield f"log {_quoted(settings.log)} local0"
    yield f"stats socket {_quoted(settings.runtime_socket)} mode 660 level admin expose-fd listeners"
    if settings.server_state:
        yield f"server-state-file {_quoted(settings.server_state)}"
    if settings.description:
        yield f"description {_word(settings.description)}"
    if settings.user:
        yield f"user {_word(settings.user)}"
        yield f"group {_word(settings.user)}"
    # As much as all front ends accept, so that a flood of one leaves the others theirs.
    yield f"maxconn {settings.connections * max(front_ends, 1)}"
    yield "# After a reload the old process keeps its connections, such as watches and shells, this long."
    yield "hard-stop-after 24h"
    if settings.version.bounds_old_workers:
        yield "mworker-max-reloads 1000"


def _defaults(settings: Settings) -> Iterator[str]:
    yield "mode tcp"
    yield "log global"
    if not settings.is_our_log:
        yield "option tcplog"
    yield "option log-health-checks"
    yield f"maxconn {settings.connections}"
    yield "# A connection that a server does not accept goes to the next one."
    yield "timeout connect 5s"
    yield "retries 3"
    yield "option redispatch 1"
    yield "# Watches, logs and shells are silent for hours; the kubelet ends them after 4."
    yield "timeout client 4h"
    yield "timeout server 4h"
    yield "# TCP notices who vanished without a word, not these timeouts."
    yield "option clitcpka"
    yield "option srvtcpka"
    if settings.version.sets_keepalive_times:
        for side in ("clitcpka", "srvtcpka"):
            yield f"{side}-idle {KEEPALIVE_IDLE_SECONDS}s"
            yield f"{side}-intvl {KEEPALIVE_SECONDS}s"
            yield f"{side}-cnt {KEEPALIVE_PROBES}"
    yield f"timeout check {CHECK_SECONDS}s"
    yield (
        f"default-server inter {INTERVAL_SECONDS}s fastinter {FAST_SECONDS}s downinter {FAST_SECONDS}s "
        f"fall {FALL} rise {RISE} "
        f"tcp-ut {UNACKNOWLEDGED_SECONDS}s"
    )
    if settings.server_state:
        yield "load-server-state-from-file global"


def _listen(front_end: FrontEnd, standings: Standings, settings: Settings) -> Iterator[str]:
    yield from (f"bind {endpoint}" for endpoint in front_end.binds)
    if front_end.allowed:
        name = "from_nodes" if front_end.service == MACHINE_CONFIG else "allowed"
        yield from (f"acl {name} src {network}" for network in front_end.allowed)
        yield f"tcp-request connection reject unless {name}"
    if settings.is_our_log:
        yield from _logged(front_end)
    yield f"balance {front_end.balance}"
    if front_end.balance is Balance.SOURCE:
        # When a member leaves, only its own clients move to others.
        yield "hash-type consistent"
    check = front_end.check
    if check.probe is not Probe.TCP:
        yield f"option httpchk GET {_target(check.path)}"
    if words := _check_words(check, settings.ca_files.get(front_end.name, "")):
        yield f"default-server {words}"
    for member in front_end.members:
        standing = standings.get((front_end.name, member.host), Standing())
        yield _server(front_end, member, standing)


def _logged(front_end: FrontEnd) -> Iterator[str]:
    if front_end.service in _LOGGED:
        yield "option logasap"
        yield f'log-format "{LOG_FORMAT}"'
    else:
        yield "option dontlog-normal"


def _check_words(check: HealthCheck, ca_file: str) -> str:
    words = [f"port {check.port}"] if check.port else []
    if check.probe is Probe.HTTPS:
        words.append("check-ssl")
        if check.tls_name:
            words.append(f"check-sni {_word(check.tls_name)}")
        if check.tls_name and ca_file:
            words.append(f"verify required ca-file {_quoted(ca_file)} verifyhost {_word(check.tls_name)}")
        else:
            words.append("verify none")
    return " ".join(words)


def _server(front_end: FrontEnd, member: Member, standing: Standing) -> str:
    words = [f"server {_word(member.name)} {Endpoint(member.address, front_end.port)} check"]
    if member.is_backup:
        words.append("backup")
    if standing.admin is Admin.DRAIN:
        words.append("weight 0")
    elif standing.admin is Admin.MAINT:
        words.append("disabled")
    return " ".join(words)


def _word(text: str) -> str:
    """Return *text*, a name. Raises ValueError unless it is a single word for HAProxy."""
    if not _WORD.fullmatch(text):
        raise ValueError(f"{text!r} is no name for HAProxy; expected letters, digits and -_.:")
    return text


def _quoted(path: str) -> str:
    """Return *path* as a single word of HAProxy's language. Raises ValueError if it has none."""
    if not path.isprintable() or "'" in path:
        raise ValueError(f"{path!r} is no path for HAProxy's configuration; expected no control characters and no '")
    return path if re.fullmatch(r"[\w./:@+-]+", path, re.ASCII) else f"'{path}'"


def _target(path: str) -> str:
    """Return *path* as the target of a request, in characters that mean nothing else to HAProxy."""
    return quote(path, safe="/?&=:@,;+~%")


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)
