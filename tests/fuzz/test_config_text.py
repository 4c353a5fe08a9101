"""Reading a cluster.yaml raises nothing but ConfigError for any text, and every problem has a line of the file."""

import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import config
from appliance.config import addresses, fields
from appliance.config.records import rdata
from appliance.config.words import RECORD_TYPES
from appliance.errors import ConfigError, Problem
from appliance.model import Role
from appliance.share import share
from tests.config_files import CLEAN
from tests.mutations import mutated

EXAMPLES = [path.read_text() for path in sorted(share("data").glob("*/cluster.yaml"))]
MAKERS = {
    "parse_endpoint",
    "parse_whole",
    "parse_duration",
    "parse_one_of",
    "parse_enum",
    "parse_choice",
}  # these return parsers, and parse nothing themselves
PARSERS = [
    value
    for name, value in (vars(fields) | vars(addresses)).items()
    if name.startswith("parse_") and name not in MAKERS
]
PARSERS += [
    addresses.parse_endpoint(53),
    fields.parse_whole(0, 9),
    fields.parse_duration(0, 9),
    fields.parse_enum(Role),
    fields.parse_choice(Role.MASTER, Role.WORKER),
]

ODD = """
~ no 0.0.0.0/0 :: ::/0 fe80::1%eth0 255.255.255.255 4.5 4.0 * @ *a << [[[ { !!a infinite / .. a/../b /dev/..
2001:db8::/129 10.0.0.0/33 [::1]: [::1 1.2.3.4: 1.2.3.4:0 xn-- . - $ 99999999999999999999 1e3 0x1f
\u0664.\u0665 \u0667d \u212a.example
"""
scalars = st.text(max_size=20) | st.sampled_from([*ODD.split(), "", "&a a", "- ", "\x85", "1" * 5000, "a" * 64])
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars, inner, max_size=3), max_leaves=8
)


def survives(content: bytes) -> None:
    """Load *content*; fail unless that succeeds or raises a ConfigError whose problems are all in the file."""
    problems: Sequence[Problem] = ()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "cluster.yaml"
        path.write_bytes(content)
        try:
            config.load([path], Path(directory))
        except ConfigError as error:
            problems = error.problems
    # Python and YAML have several line ends; this is the largest possible number of lines.
    last = len(content.decode(errors="replace").splitlines()) + content.count(b"\r") + 1
    for problem in problems:
        assert 0 <= problem.line <= last
        assert str(problem).isprintable()


def refusal(parse: Callable[[str], object], text: str) -> str:
    """Return the error of *parse* for *text*, or "" if it accepts it."""
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return ""


@given(st.binary(max_size=300))
def test_any_bytes(content: bytes) -> None:
    survives(content)


@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    survives(text.encode(errors="surrogatepass"))


@given(st.text(st.sampled_from(list("ab:-[]{}&*!|>'\"%@`#,? \n\t<~")), max_size=60))
def test_any_punctuation(text: str) -> None:
    survives(text.encode())


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(EXAMPLES), st.randoms(use_true_random=False))
def test_any_example_with_bytes_changed(text: str, chance: random.Random) -> None:
    survives(mutated(text.encode(), chance, most=39))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(EXAMPLES), st.data())
def test_any_example_with_a_value_changed(text: str, data: st.DataObject) -> None:
    lines = text.splitlines()
    places = [number for number, line in enumerate(lines) if ": " in line and not line.lstrip().startswith("#")]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.sampled_from(places))
        key = lines[at].partition(": ")[0]
        lines[at] = f"{key}: {data.draw(scalars)}"
    survives("\n".join(lines).encode(errors="replace"))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_tree_in_the_place_of_a_section(data: st.DataObject) -> None:
    document = yaml.load(CLEAN, yaml.BaseLoader)
    for key in data.draw(
        st.lists(st.sampled_from([*document, "dhcp", "listen", "images", "roles", "menu"]), max_size=3)
    ):
        document[key] = data.draw(trees)
    host = document["hosts"][-1] if isinstance(document["hosts"], list) and document["hosts"] else None
    if isinstance(host, dict):
        host[data.draw(st.sampled_from([*host, "networkConfig", "interfaces", "kernelArguments"]))] = data.draw(trees)
    survives(yaml.safe_dump(document, allow_unicode=True).encode())


@given(scalars | st.text())
def test_any_scalar_is_parsed_or_refused_in_one_printable_line(text: str) -> None:
    assert [parse for parse in PARSERS if not refusal(parse, text).isprintable()] == []


@given(st.sampled_from(RECORD_TYPES), scalars | st.text())
def test_any_record_data_is_parsed_or_refused(kind: str, text: str) -> None:
    assert refusal(lambda value: rdata(kind, value, "example.com"), text).isprintable()
