"""The configuration of each peer for the same work as ours; each start_… function starts a server in its lab.

A peer gets one worker thread or process, because its lab gives it one core. It keeps the defaults of its package
otherwise, except where these would change the work: rate limits are off, and each keeps its files in the lab.
"""

import json
import shutil
import sys
from pathlib import Path

from tests.bench.lab import LOAD, SERVER, Lab
from tests.bench.workload import DOMAIN, REVERSE_ZONES, ZONE, Host, cluster_yaml, zone_files

OURS = Path(sys.executable).with_name("ocp-appliance")
# A name that each peer has, asked until it answers: then it has read its zones.
_PROBE_DNS = ("dig", "+time=1", "+tries=1", f"@{SERVER}", f"api.{DOMAIN}", "A")


def write_cluster(lab: Lab, fleet: list[Host]) -> Path:
    """Write our cluster.yaml for *fleet* and return its path."""
    path = lab.directory / "cluster.yaml"
    path.write_text(cluster_yaml(fleet, lab.directory / "data"))
    (lab.directory / "data").mkdir(exist_ok=True)
    return path


def start_ours(lab: Lab, fleet: list[Host]) -> None:
    """Start `ocp-appliance serve`; its log goes to the same place as the peers'."""
    lab.start_notifying(OURS, "serve", write_cluster(lab, fleet))


def start_bind(lab: Lab, fleet: list[Host]) -> None:
    """Start BIND with one worker thread, as primary for the same zones."""
    # As we do, it adds the zone's name servers to its answers and keeps them within 1,232 bytes.
    zones = zone_files(fleet, lab.directory)
    text = f"""options {{ directory "{lab.directory}"; listen-on {{ {SERVER}; }}; listen-on-v6 {{ none; }};
 recursion no; pid-file none; session-keyfile "{lab.directory}/session.key"; max-udp-size 1232;
 minimal-responses no; }};
controls {{ inet 127.0.0.1 port 953 allow {{ 127.0.0.1; }} keys {{ k; }}; }};
key k {{ algorithm hmac-sha256; secret "c2VjcmV0c2VjcmV0c2VjcmV0"; }};
"""
    text += "".join(f'zone "{zone}" {{ type primary; file "{path}"; }};\n' for zone, path in zones.items())
    (lab.directory / "named.conf").write_text(text)
    lab.start("named", "-g", "-n", "1", "-c", lab.directory / "named.conf")
    lab.wait_until(*_PROBE_DNS)


def start_nsd(lab: Lab, fleet: list[Host]) -> None:
    """Start NSD with one server process."""
    # Its response rate limit would drop the load after 200 queries a second.
    zones = zone_files(fleet, lab.directory)
    text = f"""server:
  ip-address: {SERVER}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{lab.directory}"
  database: ""
  pidfile: ""
  logfile: "{lab.directory}/nsd.log"
  rrl-ratelimit: 0
  zonelistfile: "{lab.directory}/zone.list"
  xfrdfile: "{lab.directory}/xfrd.state"
  xfrdir: "{lab.directory}"
remote-control:
  control-enable: no
"""
    text += "".join(f'zone:\n  name: "{zone}"\n  zonefile: "{path}"\n' for zone, path in zones.items())
    (lab.directory / "nsd.conf").write_text(text)
    lab.start("nsd", "-d", "-c", lab.directory / "nsd.conf")
    lab.wait_until(*_PROBE_DNS)


def start_knot(lab: Lab, fleet: list[Host]) -> None:
    """Start Knot DNS with one UDP worker."""
    zones = zone_files(fleet, lab.directory)
    text = f"""server:
    rundir: "{lab.directory}"
    listen: {SERVER}@53
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{lab.directory}"
log:
  - target: stderr
    any: warning
zone:
"""
    text += "".join(f'  - domain: "{zone}"\n    file: "{path}"\n' for zone, path in zones.items())
    (lab.directory / "knot.conf").write_text(text)
    lab.start("knotd", "-c", lab.directory / "knot.conf")
    lab.wait_until(*_PROBE_DNS)


def _dnsmasq(lab: Lab, text: str) -> None:
    (lab.directory / "dnsmasq.conf").write_text(
        f"no-hosts\nno-resolv\nno-poll\nkeep-in-foreground\nuser=root\nbind-interfaces\nlisten-address={SERVER}\n"
        f"pid-file=\nlog-facility={lab.directory}/dnsmasq.log\ndhcp-leasefile={lab.directory}/leases\n{text}"
    )
    lab.start("dnsmasq", "-C", lab.directory / "dnsmasq.conf")


def dnsmasq_dns(fleet: list[Host]) -> str:
    """Return the lines of dnsmasq.conf for the same names."""
    lines = [f"local=/{ZONE}/", f"address=/apps.{DOMAIN}/172.16.0.111"]
    lines += [f"local=/{zone}/" for zone in REVERSE_ZONES]
    lines += [f"host-record=api.{DOMAIN},172.16.0.111", f"host-record=api-int.{DOMAIN},172.16.0.110"]
    lines += [f"host-record={host.fqdn},{host.address}" for host in fleet]
    return "\n".join(lines) + "\n"


def dnsmasq_dhcp(fleet: list[Host]) -> str:
    """Return the lines of dnsmasq.conf for the same reservations and boot files."""
    lines = [
        "dhcp-range=172.16.0.0,static,255.255.240.0,7d",
        f"dhcp-option=option:router,{LOAD}",
        f"dhcp-option=option:dns-server,{SERVER}",
        f"dhcp-option=option:domain-name,{DOMAIN}",
        "dhcp-lease-max=100000",
        "dhcp-authoritative",
        "no-ping",
        "dhcp-match=set:ipxe,175",
        "dhcp-userclass=set:ipxe,iPXE",
        f"dhcp-boot=tag:!ipxe,efi/ipxe.efi,bastion,{SERVER}",
        f"dhcp-boot=tag:ipxe,http://{SERVER}/pxeboot.ipxe",
    ]
    lines += [f"dhcp-host={host.mac},{host.address},{host.name}" for host in fleet]
    return "\n".join(lines) + "\n"


def dnsmasq_tftp(lab: Lab) -> str:
    """Return the lines of dnsmasq.conf for TFTP from the lab's tftp/ directory."""
    return f"enable-tftp\ntftp-root={lab.directory}/tftp\ntftp-max=1000\n"


def start_dnsmasq_dns(lab: Lab, fleet: list[Host]) -> None:
    """Start dnsmasq with DNS only."""
    _dnsmasq(lab, dnsmasq_dns(fleet))
    lab.wait_until(*_PROBE_DNS)


def start_dnsmasq(lab: Lab, fleet: list[Host]) -> None:
    """Start dnsmasq with DNS, DHCP and TFTP."""
    (lab.directory / "tftp").mkdir(exist_ok=True)
    _dnsmasq(lab, dnsmasq_dns(fleet) + dnsmasq_dhcp(fleet) + dnsmasq_tftp(lab))
    lab.wait_until(*_PROBE_DNS)


def start_dnsmasq_dhcp(lab: Lab, fleet: list[Host]) -> None:
    """Start dnsmasq with DHCP only."""
    _dnsmasq(lab, "port=0\n" + dnsmasq_dhcp(fleet))


def start_dnsmasq_tftp(lab: Lab) -> None:
    """Start dnsmasq with TFTP only."""
    _dnsmasq(lab, "port=0\n" + dnsmasq_tftp(lab))


def start_dhcpd(lab: Lab, fleet: list[Host]) -> None:
    """Start ISC dhcpd with the same reservations and boot files."""
    text = f"""authoritative; ddns-update-style none; default-lease-time 604800; max-lease-time 604800;
option arch code 93 = unsigned integer 16;
subnet 172.16.0.0 netmask 255.255.240.0 {{
 option routers {LOAD}; option domain-name-servers {SERVER}; option domain-name "{DOMAIN}"; next-server {SERVER};
 if exists user-class and option user-class = "iPXE" {{ filename "http://{SERVER}/pxeboot.ipxe"; }}
 else {{ filename "efi/ipxe.efi"; }}
}}
"""
    text += "".join(
        f"host {host.name} {{ hardware ethernet {host.mac}; fixed-address {host.address}; "
        f'option host-name "{host.fqdn}"; }}\n'
        for host in fleet
    )
    (lab.directory / "dhcpd.conf").write_text(text)
    (lab.directory / "dhcpd.leases").touch()
    lab.start(
        "dhcpd", "-4", "-f", "-cf", lab.directory / "dhcpd.conf", "-lf", lab.directory / "dhcpd.leases",
        "-pf", lab.directory / "dhcpd.pid", "--no-pid", "srv0",
    )  # fmt: skip


def start_kea(lab: Lab, fleet: list[Host]) -> None:
    """Start Kea with the same reservations and boot files, one packet thread, and leases in memory."""
    # We keep no leases at all; a lease file would measure the disk.
    reservations = [{"hw-address": host.mac, "ip-address": host.address, "hostname": host.fqdn} for host in fleet]
    config = {
        "Dhcp4": {
            "interfaces-config": {"interfaces": ["srv0"], "dhcp-socket-type": "raw"},
            "lease-database": {"type": "memfile", "persist": False},
            "multi-threading": {"enable-multi-threading": False},
            "valid-lifetime": 604800,
            "control-socket": {"socket-type": "unix", "socket-name": str(lab.directory / "kea.sock")},
            "client-classes": [
                {"name": "ipxe", "test": "option[77].hex == 'iPXE'", "boot-file-name": f"http://{SERVER}/pxeboot.ipxe"},
                {"name": "pxe", "test": "not member('ipxe')", "boot-file-name": "efi/ipxe.efi"},
            ],
            "subnet4": [
                {
                    "subnet": "172.16.0.0/20",
                    "id": 1,
                    "next-server": SERVER,
                    "reservations-global": False,
                    "reservations-in-subnet": True,
                    "reservations-out-of-pool": True,
                    "option-data": [
                        {"name": "routers", "data": LOAD},
                        {"name": "domain-name-servers", "data": SERVER},
                        {"name": "domain-name", "data": DOMAIN},
                    ],
                    "reservations": reservations,
                }
            ],
            "loggers": [{"name": "kea-dhcp4", "severity": "WARN", "output_options": [{"output": "stderr"}]}],
        }
    }
    path = lab.directory / "kea.json"
    path.write_text(json.dumps(config))
    runtime = lab.directory / "run"
    runtime.mkdir(exist_ok=True)
    lab.start("kea-dhcp4", "-c", path, KEA_PIDFILE_DIR=runtime, KEA_LOCKFILE_DIR=runtime)


def start_tftpd(lab: Lab) -> None:
    """Start tftpd-hpa, serving the lab's tftp/ directory."""
    lab.start("in.tftpd", "--foreground", "--listen", "--address", f"{SERVER}:69", "--secure", lab.directory / "tftp")


def start_nginx(lab: Lab) -> None:
    """Start nginx with one worker and a distribution's usual settings, serving the lab's www/ directory."""
    (lab.directory / "nginx.conf").write_text(
        f"""worker_processes 1; daemon off; pid {lab.directory}/nginx.pid; error_log {lab.directory}/nginx.log;
events {{ worker_connections 4096; }}
http {{ sendfile on; tcp_nopush on; access_log {lab.directory}/access.log; keepalive_requests 1000000;
 client_body_temp_path {lab.directory}/b; proxy_temp_path {lab.directory}/p; fastcgi_temp_path {lab.directory}/f;
 uwsgi_temp_path {lab.directory}/u; scgi_temp_path {lab.directory}/s;
 server {{ listen {SERVER}:80 backlog=1024; root {lab.directory}/www; }} }}
user root;
"""
    )
    lab.start("nginx", "-c", lab.directory / "nginx.conf", "-p", lab.directory)
    lab.wait_until("curl", "-s", "-o", "/dev/null", f"http://{SERVER}/")


def link_tftp_files(lab: Lab, loader: Path, *, is_ours: bool = False) -> Path:
    """Copy the boot file to where the TFTP server of *lab* looks for it; return its path."""
    path = lab.directory / ("data/tftp" if is_ours else "tftp") / "efi" / "ipxe.efi"
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(loader, path)
    return path
