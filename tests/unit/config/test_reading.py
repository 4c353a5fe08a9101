"""Reading YAML as text, and files that are not YAML, or not files."""

import os
from pathlib import Path

import pytest
import yaml

from appliance.config import check, load, reading
from appliance.config.reading import MAX_DEPTH, MAX_FILE_BYTES, MAX_VALUES, read
from appliance.errors import ConfigError
from tests.config_files import CLEAN, check_text, edited, nobodys_directory, told


def value_of(tmp_path: Path, text: str) -> object:
    """Return the value that is read from *text*."""
    (tmp_path / "x.yaml").write_text(text)
    document = read(tmp_path / "x.yaml")
    assert document.problems == ()
    return document.root


@pytest.mark.parametrize(
    "spelled",
    ["52:54:00:12:34:56", "12:34:56", "4.10", "no", "0x1f", "010", "1e3", "2001-01-01", "true", ".5", "1_000"],
)
def test_bare_scalar_is_the_text_that_it_is(tmp_path: Path, spelled: str) -> None:
    assert value_of(tmp_path, f"a: {spelled}\n") == {"a": spelled}


@pytest.mark.parametrize("spelled", ["", "~", "null", "Null", "NULL"])
def test_empty_value_counts_as_not_given(tmp_path: Path, spelled: str) -> None:
    assert value_of(tmp_path, f"a: {spelled}\nb: c\n") == {"b": "c"}


def test_quoted_null_is_text(tmp_path: Path) -> None:
    assert value_of(tmp_path, 'a: "null"\nb: ""\n') == {"a": "null", "b": ""}


def test_comments_and_flow_style_and_block_text_are_read(tmp_path: Path) -> None:
    text = "a: {b: [1, 2]} # c\nd: >\n  e\n  f\n"

    assert value_of(tmp_path, text) == {"a": {"b": ["1", "2"]}, "d": "e f\n"}


def test_alias_has_the_value_of_its_anchor(tmp_path: Path) -> None:
    assert value_of(tmp_path, "a: &x {b: c}\nd: *x\n") == {"a": {"b": "c"}, "d": {"b": "c"}}


def test_merge_key_gives_what_is_not_said(tmp_path: Path) -> None:
    text = "a: &x {b: 1, c: 2}\nd: &y {c: 3, e: 4}\nf:\n  <<: [*x, *y]\n  b: 0\n"

    assert value_of(tmp_path, text) == {
        "a": {"b": "1", "c": "2"},
        "d": {"c": "3", "e": "4"},
        "f": {"b": "0", "c": "2", "e": "4"},
    }


def test_merge_key_with_something_else_than_a_mapping_is_reported(tmp_path: Path) -> None:
    assert told(tmp_path, f"{CLEAN}menu: {{<<: x}}\n") == [
        '40: menu."<<": << merges the keys of a mapping; write `<<: *name`, and &name before a mapping above'
    ]


def test_problem_in_a_merged_value_has_the_line_of_that_value(tmp_path: Path) -> None:
    text = edited(("hosts:\n", "hosts:\n"), ("    role: worker\n", "    <<: &w {role: wroker}\n"))

    assert told(tmp_path, text) == [
        '35: hosts[4].role: "wroker" is not valid; expected bootstrap, master, arbiter, worker, infra or other'
    ]


def test_unquoted_values_of_a_host_are_read_as_text(tmp_path: Path) -> None:
    text = edited(("hostname: m2", "hostname: no"), ("4.16.3", "4.10"), ("52:54:00:00:00:22", "11:22:33:44:55:06"))
    text = text.replace("11:22:33:44:55:06", "10:22:33:44:55:06")
    (cluster,) = check_text(tmp_path, text).clusters

    assert (cluster.hosts[2].short_name, str(cluster.hosts[2].macs[0])) == ("no", "10:22:33:44:55:06")


def test_release_4_10_is_not_4_1(tmp_path: Path) -> None:
    (cluster,) = check_text(tmp_path, edited(("4.16.3", "4.10"))).clusters

    assert (cluster.release.major, cluster.release.minor) == (4, 10)


UNUSABLE = {
    "empty": ("", "x.yaml: is empty; begin with `baseDomain:`, or copy an example from data/"),
    "comment alone": ("# nothing\n", "x.yaml: is empty; begin with `baseDomain:`, or copy an example from data/"),
    "list": ("- a\n", "x.yaml:1: expected a mapping, got a list; a cluster.yaml has keys such as `baseDomain:`"),
    "text": ("hello\n", 'x.yaml:1: expected a mapping, got "hello"; a cluster.yaml has keys such as `baseDomain:`'),
    "two documents": (
        "a: b\n---\nc: d\n",
        "x.yaml:2: a second YAML document begins here; use one file for each cluster",
    ),
    "tab": (
        "a:\n\tb: c\n",
        (
            "x.yaml:2: is not YAML: found character that cannot start any token; "
            "YAML indents with spaces, not tabs, and a value that begins with @ ` or % needs quotes"
        ),
    ),
    "colon": (
        "a: b\nc: d: e\n",
        (
            "x.yaml:2: is not YAML: mapping values are not allowed in this context; "
            "is the indentation wrong, does a value contain `: ` without quotes, or does the line above lack a colon?"
        ),
    ),
    "open bracket": (
        "a:\n  [b,\n  c\nd: e\n",
        (
            "x.yaml:4: is not YAML: did not find expected ',' or ']'; "
            "is the bracket that opens on line 2 closed, and is there a comma between the entries?"
        ),
    ),
    "open bracket at the end": (
        "a: b\nc: {d: e,\n",
        (
            "x.yaml:2: is not YAML: did not find expected node content; "
            "is the indentation wrong, or a quote or bracket still open above?"
        ),
    ),
    "list that is never closed": (
        "a: b\nc: [d, e\n\n# end\n",
        (
            "x.yaml:2: is not YAML: did not find expected ',' or ']'; "
            "is the bracket that opens here closed, and is there a comma between the entries?"
        ),
    ),
    "quote that is never closed": (
        'a: b\nc: "d\ne: f\ng: h\n',
        "x.yaml:2: is not YAML: found unexpected end of stream; the quote that opens here is never closed",
    ),
    "no colon": (
        "a: b\nc d\ne: f\n",
        "x.yaml:2: is not YAML: could not find expected ':'; write `key: value`, with a space after the colon",
    ),
    "no blank behind a colon": (
        "a:\n  - b: c\n    d:e\n",
        "x.yaml:3: is not YAML: could not find expected ':'; write `key: value`, with a space after the colon",
    ),
    "no colon on the first line": (
        "baseDomain example.com\nmetadata:\n  name: x\n",
        (
            "x.yaml:2: is not YAML: mapping values are not allowed in this context; "
            "is the indentation wrong, does a value contain `: ` without quotes, or does the line above lack a colon?"
        ),
    ),
    "unknown alias": ("a: *b\n", "x.yaml:1: *b has no complete &b above it; define &b first"),
    "alias to itself": ("a: &b [*b]\n", "x.yaml:1: *b has no complete &b above it; define &b first"),
    "control character": (
        "a: b\nc: \x07\n",
        "x.yaml:2: contains the character U+0007, which YAML does not allow",
    ),
}


@pytest.mark.parametrize(("text", "expected"), UNUSABLE.values(), ids=UNUSABLE)
def test_text_that_is_not_a_cluster_gets_one_line(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "x.yaml").write_text(text)

    assert [str(p).replace(f"{tmp_path}/", "") for p in check([tmp_path / "x.yaml"]).problems] == [expected]


def only_problem(path: Path) -> str:
    """Return the only problem of the file at *path*, without the path."""
    (problem,) = check([path]).problems
    return str(problem).removeprefix(str(path))


def test_binary_file_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a: b\n\x7fELF\xff\x00")

    assert only_problem(tmp_path / "x") == ":2: is not UTF-8 text: byte 0xff at offset 9; save it as UTF-8"


def test_utf_16_file_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(CLEAN, encoding="utf-16")

    assert only_problem(tmp_path / "x") == ":1: is not UTF-8 text: byte 0xff at offset 0; save it as UTF-8"


def test_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert told(tmp_path, f"\ufeff{CLEAN}") == []


def test_directory_gets_one_line(tmp_path: Path) -> None:
    assert only_problem(tmp_path) == ": is a directory; name the cluster.yaml in it"


def test_missing_file_gets_one_line(tmp_path: Path) -> None:
    assert only_problem(tmp_path / "x") == ": not found; give the path of a cluster.yaml"


def test_path_through_a_file_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").touch()

    assert only_problem(tmp_path / "x" / "y") == ": cannot be read: Not a directory"


def test_fifo_that_nobody_writes_to_is_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")

    assert only_problem(tmp_path / "x") == ": is empty; begin with `baseDomain:`, or copy an example from data/"


def test_device_without_end_gets_one_line() -> None:
    assert only_problem(Path("/dev/zero")) == ": is larger than 4 MiB; a cluster.yaml of 1,000 hosts has 200 kB"


def test_file_that_may_not_be_read_gets_one_line() -> None:
    with nobodys_directory() as directory:
        (directory / "x").touch(0)
        problem = only_problem(directory / "x")

    assert problem == ": permission denied; run `chmod a+r` on it, or run this command as its owner"


def test_file_past_the_bound_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("#" * (MAX_FILE_BYTES + 1))

    assert only_problem(tmp_path / "x") == ": is larger than 4 MiB; a cluster.yaml of 1,000 hosts has 200 kB"


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_nesting_past_the_bound_gets_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text)

    assert only_problem(tmp_path / "x") == f":1: is nested deeper than {MAX_DEPTH} levels; is a bracket still open?"


def test_alias_bomb_gets_one_line(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    (tmp_path / "x").write_text("\n".join(lines))

    assert only_problem(tmp_path / "x") == (
        f":6: has more than {MAX_VALUES:,} values, with every alias counted in full"
    )


def test_tag_that_would_make_an_object_is_refused(tmp_path: Path) -> None:
    text = edited(("baseDomain: ", "baseDomain: !!python/object/apply:os.system "))

    assert told(tmp_path, text) == [
        "1: baseDomain: the tag tag:yaml.org,2002:python/object/apply:os.system is not supported; remove it"
    ]


def test_duplicate_key_is_found_at_any_depth(tmp_path: Path) -> None:
    text = edited(
        ("forwarders: [198.51.100.53]", "forwarders: []\n  records: [{name: a, name: b, type: TXT, value: c}]")
    )

    assert told(tmp_path, text) == ["40: dns.records[0].name: duplicate key (first on line 40); keep one of them"]


def test_key_that_is_not_a_word_is_reported(tmp_path: Path) -> None:
    assert told(tmp_path, f"{CLEAN}? [a]\n: b\n") == ["40: expected a key, got a list; a key is a word"]


def test_parser_without_libyaml_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_text(CLEAN)
    fast = read(tmp_path / "x").root
    monkeypatch.setattr(reading, "_LOADER", yaml.SafeLoader)

    assert read(tmp_path / "x").root == fast


def test_load_raises_every_problem_of_every_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("- a\n")
    (tmp_path / "b").write_text("")

    with pytest.raises(ConfigError) as raised:
        load([tmp_path / "b", tmp_path / "a", tmp_path / "c"])
    assert [problem.file for problem in raised.value.problems] == [f"{tmp_path}/{name}" for name in "bac"]
