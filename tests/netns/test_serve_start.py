"""How `ocp-appliance serve` starts, or prints in one line why it cannot."""

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.simulate.loopback import moved_to_loopback
from tests.serve_lab import APPLIANCE, PROGRAM, REFERENCE_TEXT, Site, fill, run, serving, site
from tests.simulate_segment import REFERENCE, segment

pytestmark = pytest.mark.netns

# uid 1000 in a user namespace that owns its network namespace, like the user of a service on a machine.
AS_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--keep-caps", "--net", "sh", "-ec")
MAKE_BRIDGE = (
    "ip link set lo up; ip link add br0 address 02:00:ac:10:00:65 type bridge; "
    "ip addr add 172.16.0.101/24 dev br0; ip link set br0 up; "
)
SETPRIV = 'exec setpriv --inh-caps=-all{0} --ambient-caps=-all{0} "$@"'
may_be_another_user = pytest.mark.skipif(
    subprocess.run([*AS_USER, "true"], capture_output=True, check=False).returncode != 0,
    reason="user namespaces are not allowed here",
)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


def test_a_port_that_is_taken_is_reported_with_what_to_do(here: Site) -> None:
    with here.place, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 67))
        assert here.refused() == (
            71,
            "cannot listen on 0.0.0.0:67/udp: address already in use; stop the other server, or set listen.dhcp\n",
        )


@pytest.mark.parametrize(("port", "key", "kind"), [(53, "dns", "tcp"), (69, "tftp", "udp"), (80, "http", "tcp")])
def test_every_ports_line_names_its_own_key(here: Site, port: int, key: str, kind: str) -> None:
    stream = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
    with here.place, socket.socket(socket.AF_INET, stream) as other:
        other.bind((APPLIANCE, port))
        code, said = here.refused()
    assert (code, said.count("\n")) == (71, 1)
    assert said.startswith(f"cannot listen on {APPLIANCE}:{port}/{kind}: address already in use; ")
    assert said.endswith(f"or set listen.{key}\n")


def test_nothing_is_served_by_one_that_could_not_have_every_port(here: Site) -> None:
    """The port of the web server is opened last; DNS has its port by then, but must not have answered."""
    with here.place, socket.socket() as other, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        other.bind((APPLIANCE, 80))
        client.connect((APPLIANCE, 53))
        client.setblocking(False)
        query = bytes.fromhex(
            "000100000001000000000000026d31056f63703435076578616d706c650b6c6f63616c646f6d61696e0000010001"
        )
        with here.serve(is_awaited=False) as tried:
            while tried.process.poll() is None:
                for attempt in (lambda: client.send(query), lambda: client.recv(512)):
                    try:
                        answer = attempt()
                    except OSError:
                        continue
                    assert not isinstance(answer, bytes), "it answered"


def test_an_address_that_is_not_on_this_machine_is_reported(here: Site) -> None:
    run("ip", "addr", "del", "172.16.0.101/24", "dev", "br0", place=here.place)
    assert here.refused() == (
        71,
        (
            "cannot listen on 172.16.0.101:53/udp: cannot assign requested address; "
            "the address is not on this machine; add it to an interface, or set listen.dns\n"
        ),
    )


def test_a_missing_interface_is_reported(here: Site) -> None:
    here.config.write_text(REFERENCE_TEXT + "listen: {dhcp: [eno9]}\n")
    code, said = here.refused()
    assert (code, said.count("\n")) == (71, 1)
    assert "eno9" in said
    assert said.endswith("the interface does not exist; create it, or set listen.dhcp\n")


def test_a_missing_file_is_reported(here: Site) -> None:
    here.config.unlink()
    code, said = here.refused()
    assert (code, said.count("\n")) == (78, 1)
    assert said.startswith(f"{here.config}: not found")


def test_every_mistake_in_the_file_is_reported_with_its_line(here: Site) -> None:
    here.config.write_text(
        REFERENCE_TEXT.replace("172.16.0.21", "172.16.0.22").replace("role: bootstrap", "role: boss")
    )
    code, said = here.refused()
    assert code == 78
    assert "Traceback" not in said
    assert all(line.startswith(f"{here.config}:") for line in said.splitlines())
    assert len(said.splitlines()) >= 2


def test_a_second_appliance_on_the_same_state_is_refused(here: Site) -> None:
    # In another network namespace every port is free.
    with here.serve(), segment(here.config) as elsewhere:
        code, said = here.refused(place=elsewhere.place, name="second")
    assert (code, said.count("\n")) == (74, 1)
    assert said.startswith(f"{here.data_dir}/state.db is in use: another appliance runs")


def test_a_state_that_cannot_be_written_is_reported_loudly_and_the_appliance_serves(here: Site) -> None:
    (here.data_dir / "state.db-new").mkdir()
    with here.serve() as appliance:
        assert "critical: state.trouble" in appliance.text
        assert here.addresses("m1.ocp45.example.localdomain") == ["172.16.0.21"]


@pytest.mark.parametrize("what", ["empty", "device", "missing"])
def test_a_state_that_is_lost_is_reported_loudly_and_holds_the_hosts(here: Site, what: str) -> None:
    state = here.data_dir / "state.db"
    if what == "empty":
        state.touch()
    elif what == "device":
        state.symlink_to("/dev/zero")
    else:
        (here.data_dir / "state.db-marker").write_text("closed 7\n")
    with here.serve() as appliance:
        assert "critical: state.aside" in appliance.text
        assert appliance.command("status", "-o", "json").count('"state-lost"') >= 7


def test_the_service_manager_is_told_when_everything_answers(here: Site) -> None:
    with here.serve(is_awaited=False) as appliance:
        message = appliance.notified("READY=1")
        assert here.addresses("m1.ocp45.example.localdomain") == ["172.16.0.21"]
        assert run("curl", "-sf", f"http://{APPLIANCE}/pxeboot.ipxe", place=here.place).stdout.startswith("#!ipxe")
    assert "STATUS=serving 7 hosts, version " in message


def test_the_service_manager_gets_watchdog_messages(here: Site) -> None:
    with here.serve(environment={"WATCHDOG_USEC": "400000"}) as appliance:
        for _ in range(3):
            appliance.notified("WATCHDOG=1")


def test_warnings_about_the_file_are_logged_at_the_start(here: Site) -> None:
    (here.data_dir / "ignition" / "bootstrap.ign").unlink()
    with here.serve() as appliance:
        assert "warning: config.odd" in appliance.said("bootstrap.ign not found")


def test_secret_in_images_is_reported_at_the_start(here: Site) -> None:
    secret = here.data_dir / "images" / "auth" / "kubeconfig"
    secret.parent.mkdir()
    secret.write_text("x")
    with here.serve() as appliance:
        assert "warning: config.odd" in appliance.said(f"{secret} looks like ")


def test_the_log_is_text_elsewhere_and_json_under_systemd(here: Site, tmp_path: Path) -> None:
    with here.serve(name="text") as appliance:
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} serve\.ready .*", appliance.said("serve.ready"))
    # $JOURNAL_STREAM has the device and inode number of standard error (systemd.exec(5)).
    log = tmp_path / "json.log"
    log.touch()
    stream = f"{log.stat().st_dev}:{log.stat().st_ino}"
    with here.serve(name="json", environment={"JOURNAL_STREAM": stream}) as appliance:
        # The web server's watcher loads the files a moment after READY=1.
        appliance.said("ignition.load")
        assert appliance.end() == 0
        lines = [json.loads(line) for line in appliance.text.splitlines()]
    assert {"time", "level", "message"} <= lines[0].keys()
    assert any(line.get("event") == "ignition.load" and line["version"] == "2.2.0" for line in lines)


def test_an_error_is_json_too_where_the_log_is(here: Site) -> None:
    here.config.write_text("hosts: [")
    code, said = here.refused("--log", "json")
    assert code == 78
    assert json.loads(said)["level"] == "critical"


def test_it_serves_several_files_in_one_process(here: Site, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    text = REFERENCE_TEXT.replace("name: ocp45", "name: ocp46").replace("zone: ", "zone: ocp46.")
    text = re.sub(r"(172\.16\.0\.)11([01])\b", r"\g<1>19\2", text)
    text = re.sub(r"(172\.16\.0\.)(11|2[123]|3[123])\b", r"\g<1>2\2", text)
    other.write_text(text.replace("00:50:56:96:", "00:50:56:97:"))
    with serving([here.config, other], here.data_dir, place=here.place) as appliance:
        assert here.addresses("m1.ocp45.example.localdomain") == ["172.16.0.21"]
        assert here.addresses("m1.ocp46.example.localdomain") == ["172.16.0.221"]
        control = here.data_dir / "control.sock"
        hosts = json.loads(appliance.command("status", "-o", "json", "--socket", str(control)))["hosts"]
        assert len({row["host"] for row in hosts}) == 14


@may_be_another_user
@pytest.mark.parametrize(
    ("capabilities", "code", "said"),
    [
        (",+net_bind_service,+net_raw", 0, "serve.ready"),
        (",+net_bind_service", 0, "serve.ready"),
        (
            "",
            71,
            (
                "cannot listen on 172.16.0.101:53/udp: permission denied; run as root, "
                "give CAP_NET_BIND_SERVICE (the systemd unit does), or set listen.dns above 1023"
            ),
        ),
    ],
    ids=["both", "bind-service", "none"],
)
def test_user_other_than_root_needs_capabilities(here: Site, capabilities: str, code: int, said: str) -> None:
    wrapper = (*AS_USER, MAKE_BRIDGE + SETPRIV.format(capabilities), "sh")
    with here.serve(wrapper=wrapper, is_awaited=code == 0) as appliance:
        assert (appliance.end() if code == 0 else appliance.process.wait(30)) == code
        assert said in appliance.text
        assert "Traceback" not in appliance.text


@may_be_another_user
def test_user_with_the_two_capabilities_installs_machines(here: Site) -> None:
    wrapper = (*AS_USER, MAKE_BRIDGE + SETPRIV.format(",+net_bind_service,+net_raw"), "sh")
    with here.serve(wrapper=wrapper) as appliance:
        enter = ("nsenter", "-t", str(appliance.process.pid), "-n")
        done = run(*enter, *PROGRAM, "simulate", "--config", here.config, "m1")
        assert "m1.ocp45.example.localdomain: installed" in done.stdout, done.stdout + done.stderr + appliance.text
        capabilities = Path(f"/proc/{appliance.process.pid}/status").read_text()
        assert re.search(r"^CapEff:\t0*2400$", capabilities, re.MULTILINE)  # bits 10 and 13 (capabilities(7))


@may_be_another_user
def test_user_without_privileges_serves_on_loopback_and_high_ports(tmp_path: Path) -> None:
    config, data_dir = tmp_path / "cluster.yaml", tmp_path / "data"
    moved_to_loopback(REFERENCE, config)
    fill(config, data_dir)
    with serving([config], data_dir, wrapper=(*AS_USER, "ip link set lo up; " + SETPRIV.format(""), "sh")) as appliance:
        done = run("nsenter", "-t", str(appliance.process.pid), "-n", *PROGRAM, "simulate", "--config", config, "m1")
        assert "m1.ocp45.example.localdomain: installed" in done.stdout, done.stdout + done.stderr + appliance.text
