"""`ocp-appliance validate` and `ocp-appliance schema`, as an operator runs them."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from appliance.cli import cli
from appliance.config.schema import json_schema
from tests.config_files import CLEAN, IMAGES, bootstrap_ign, edited, make_data_dir
from tests.takes import quickest


def validate(root: Path, text: str, *options: str) -> Result:
    """Return the result of validate for *text*, with every file that CLEAN names."""
    (root / "cluster.yaml").write_text(text)
    arguments = ["validate", str(root / "cluster.yaml"), "--data-dir", str(make_data_dir(root)), *options]
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


def test_clean_file_is_reported_in_one_line(tmp_path: Path) -> None:
    result = validate(tmp_path, CLEAN)

    assert result.exit_code == 0
    assert result.stdout == (
        f"{tmp_path}/cluster.yaml: prod.example.com, release 4.16: "
        "1 bootstrap, 3 master, 1 worker in 192.0.2.0/24; no warnings\n"
    )


def test_problems_end_with_78(tmp_path: Path) -> None:
    result = validate(tmp_path, edited(("4.16.3", "x"), ("192.0.2.22", "y")))

    assert result.exit_code == 78
    assert result.stdout.splitlines()[-1] == "2 problems and no warnings"


def test_warnings_alone_end_with_0(tmp_path: Path) -> None:
    result = validate(tmp_path, f"{CLEAN}sshKey: x\n")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].endswith("; 1 warning")


def test_json_has_the_same_problems(tmp_path: Path) -> None:
    result = validate(tmp_path, edited(("4.16.3", "x")) + "sshKey: x\n", "-o", "json")
    told = json.loads(result.stdout)

    assert (result.exit_code, told["valid"], told["clusters"]) == (78, False, [])
    assert told["problems"][0] == {
        "file": f"{tmp_path}/cluster.yaml",
        "line": 4,
        "path": "release",
        "severity": "error",
        "message": '"x" is not a release; for example 4.16 or 4.16.3',
    }
    assert told["problems"][1]["severity"] == "warning"


def test_json_of_a_correct_file_has_the_cluster(tmp_path: Path) -> None:
    (told,) = json.loads(validate(tmp_path, CLEAN, "-o", "json").stdout)["clusters"]

    assert told == {
        "file": f"{tmp_path}/cluster.yaml",
        "name": "prod",
        "baseDomain": "example.com",
        "release": "4.16",
        "hosts": 5,
        "dataDir": f"{tmp_path}/data",
        "digest": hashlib.sha256(CLEAN.encode()).hexdigest(),
        "ignitionExpiry": {},
    }


def test_file_that_is_not_there_ends_with_78() -> None:
    result = CliRunner().invoke(cli, ["validate", "/nowhere/cluster.yaml"])

    assert (result.exit_code, result.stdout.splitlines()[0]) == (
        78,
        "/nowhere/cluster.yaml: not found; give the path of a cluster.yaml",
    )


def test_validate_needs_a_file() -> None:
    assert CliRunner().invoke(cli, ["validate"]).exit_code == 2


def test_image_that_is_not_what_its_sha256_says_is_an_error(tmp_path: Path) -> None:
    kernel = make_data_dir(tmp_path) / "images" / IMAGES[0]
    images = f"images:\n  kernel:\n    name: {IMAGES[0]}\n    sha256: {'0' * 64}\n"
    result = validate(tmp_path, CLEAN + images)
    found = hashlib.sha256(kernel.read_bytes()).hexdigest()

    assert result.stdout.splitlines()[0] == (
        f"{tmp_path}/cluster.yaml:43: images.kernel.sha256: {kernel} has the sha256 {found}; "
        "download it again, or write the sha256 that its publisher gives"
    )
    assert result.exit_code == 78


def test_image_that_is_what_its_sha256_says_is_not_a_problem(tmp_path: Path) -> None:
    kernel = make_data_dir(tmp_path) / "images" / IMAGES[0]
    digest = hashlib.sha256(kernel.read_bytes()).hexdigest()

    assert validate(tmp_path, f"{CLEAN}images: {{kernel: {{name: {IMAGES[0]}, sha256: {digest}}}}}\n").exit_code == 0


def test_life_of_the_certificates_is_shown(tmp_path: Path) -> None:
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=20)
    (make_data_dir(tmp_path) / "ignition" / "bootstrap.ign").write_text(bootstrap_ign(soon))
    (tmp_path / "cluster.yaml").write_text(CLEAN)
    arguments = ["validate", str(tmp_path / "cluster.yaml"), "--data-dir", str(tmp_path / "data")]
    as_text = CliRunner().invoke(cli, arguments).stdout.splitlines()
    as_json = json.loads(CliRunner().invoke(cli, [*arguments, "-o", "json"]).stdout)

    assert as_text[1] == f"{tmp_path}/cluster.yaml: bootstrap.ign expires at {soon:%Y-%m-%d %H:%M} UTC"
    assert as_json["clusters"][0]["ignitionExpiry"] == {"bootstrap.ign": soon.timestamp()}


def test_schema_prints_the_schema() -> None:
    result = CliRunner().invoke(cli, ["schema"])

    assert json.loads(result.stdout) == json_schema()
    jsonschema.Draft7Validator.check_schema(json.loads(result.stdout))


def thousand_hosts() -> str:
    """Return CLEAN with 1,000 more workers."""
    hosts = "".join(
        f"  - hostname: node-{number}\n"
        "    role: worker\n"
        f"    macAddress: 52:54:01:00:{number >> 8:02x}:{number & 255:02x}\n"
        f"    address: 10.16.{4 + number // 250}.{number % 250 + 1}\n"
        "    rootDeviceHints:\n      deviceName: /dev/nvme0n1\n"
        "    kernelArguments: [console=ttyS1]\n"
        for number in range(1000)
    )
    text = edited(("      gateway: 192.0.2.1\n", "      gateway: 192.0.2.1\n    - cidr: 10.16.0.0/16\n"))
    return edited(("dns:\n", f"{hosts}dns:\n"), text=text)


def test_thousand_hosts_are_validated_in_a_moment(tmp_path: Path) -> None:
    # The goal is two seconds on an idle machine. This machine may be busy, so the unit is the time
    # for hashing 64 MiB in the same run, which takes 0.1 s or less on an idle machine.
    text = thousand_hosts()
    block = bytes(64 << 20)
    taken, hashing = quickest(lambda: validate(tmp_path, text), lambda: hashlib.sha256(block))

    assert taken < max(2.0, 40 * hashing)


@pytest.mark.parametrize("name", ["ocp45", "ocp416"])
def test_example_is_valid_from_the_command_line(name: str, tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "data" / name / "cluster.yaml"
    result = CliRunner().invoke(cli, ["validate", str(path), "--data-dir", str(tmp_path)])

    assert result.exit_code == 0
