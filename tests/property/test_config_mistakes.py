"""An unreadable value neither hides another problem of the file nor causes a false one."""

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import config
from appliance.share import share
from tests.config_files import edited

# Each of these problems concerns a single value, so it must be found whatever the other values are.
FLAWED = edited(("role: worker", "role: wroker"), ("52:54:00:00:00:23", "52:54:00:00:00")) + (
    "  ttl: soon\npullSecret: x\nserveExpird: true\ndhcp:\n  leaseTime: 10m\nlisten:\n  tftp: 192.0.2.5:67\n"
)
BALANCED = """\
loadBalancer:
  engine: haproxy
  frontends:
    - name: registry
      port: 22623
      addresses: 192.0.2.9
      hosts: w1
      memberPort: 5000
      check:
        type: http
        path: /healthz
        port: 8443
      balance: source
      allow: 192.0.2.0/24
    - name: ironic
      port: 6385
      roles: master
      check: tcp
"""
EXAMPLES = [path.read_text() for path in sorted(share("data").glob("*/cluster.yaml"))]
# No key of cluster.yaml accepts this text.
UNREADABLE = "'{}'"

Told = set[tuple[int, str, bool]]


def problems(text: str) -> Told:
    """Return line, path and severity of each problem of *text*, without missing files.

    A missing Ignition file is reported at the first host that needs it, and so elsewhere when its role is unreadable.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "cluster.yaml"
        path.write_text(text)
        checked = config.check([path], Path("/nowhere"), 0.0)
    return {(each.line, each.path, each.is_warning) for each in checked.problems if "not found" not in each.message}


def broken(text: str, data: st.DataObject) -> tuple[int, str]:
    """Return the number of a line, and *text* with the value on that line made unreadable."""
    lines = text.splitlines()
    values = [number for number, line in enumerate(lines) if re.match(r"[ -]*\w[\w-]*: [^#&*{\[|>]", line)]
    number = data.draw(st.sampled_from(values))
    lines[number] = f"{lines[number].partition(': ')[0]}: {UNREADABLE}"
    return number + 1, "\n".join(lines)


@settings(deadline=None)
@given(st.data())
def test_unreadable_value_hides_no_problem_of_another_value(data: st.DataObject) -> None:
    number, text = broken(FLAWED, data)
    lost = problems(FLAWED) - problems(text)

    assert {problem for problem in lost if problem[0] != number} == set()


@settings(deadline=None)
@given(st.sampled_from([FLAWED, FLAWED + BALANCED, *EXAMPLES]), st.data())
def test_unreadable_value_invents_no_problem_of_another_value(text: str, data: st.DataObject) -> None:
    number, with_mistake = broken(text, data)
    invented = problems(with_mistake) - problems(text)

    assert {problem for problem in invented if problem[0] != number} == set()


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example_has_no_problem_but_missing_files(text: str) -> None:
    assert problems(text) == set()
