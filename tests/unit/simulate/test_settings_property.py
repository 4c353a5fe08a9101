"""Properties of the tokenizer and of the expansion of ${…}, for any text."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.simulate.script import CommandError, commands_of, logical_lines, options_of
from appliance.simulate.settings import MAX_TOKEN_BYTES, Settings

WORD = st.text(st.characters(codec="ascii", exclude_categories=("Z", "C")), min_size=1, max_size=12)
PLAIN = WORD.filter(lambda word: word not in ("||", "&&", ";") and not word.startswith("#"))
NAMES = st.text("abc${}:/", max_size=20)


@given(st.text(max_size=200))
def test_any_line_is_split(line: str) -> None:
    joints = [joint for joint, _ in commands_of(line)]
    assert joints[0] == ""
    assert set(joints[1:]) <= {"||", "&&", ";"}


@given(st.lists(st.lists(PLAIN, min_size=1, max_size=4), min_size=1, max_size=5), st.sampled_from(["||", "&&", ";"]))
def test_commands_that_are_joined_come_apart_again(commands: list[list[str]], joint: str) -> None:
    line = f" {joint} ".join("  ".join(words) for words in commands)
    assert [words for _, words in commands_of(line)] == commands


@given(st.lists(PLAIN, max_size=6), st.text(max_size=20))
def test_nothing_after_a_comment_is_a_command(words: list[str], comment: str) -> None:
    assert commands_of(" ".join([*words, f"# {comment}"])) == commands_of(" ".join(words))


@given(st.lists(st.text(st.characters(exclude_characters="\n\r\\"), max_size=20), min_size=1, max_size=6))
def test_a_line_broken_by_backslashes_is_one(parts: list[str]) -> None:
    assert logical_lines("\\\n".join(parts)) == ["".join(parts)]


@given(st.dictionaries(NAMES, NAMES, max_size=4), NAMES)
def test_expansion_ends_for_any_settings(values: dict[str, str], token: str) -> None:
    settings = Settings()
    for name, value in values.items():
        settings.store(name, value.encode())
    try:
        assert len(settings.expand(token)) <= MAX_TOKEN_BYTES
    except ValueError:
        return


@given(st.text(st.characters(exclude_characters="$"), max_size=50))
def test_text_without_a_dollar_stays(token: str) -> None:
    assert Settings().expand(token) == token


@given(st.sampled_from(["kernel", "initrd", "chain", "choose", "item", "menu", "echo", "sanboot"]), st.lists(WORD))
def test_options_and_rest_are_the_words_that_were_there(name: str, words: list[str]) -> None:
    try:
        _, rest = options_of(name, words)
    except CommandError:
        return
    assert words[len(words) - len(rest) :] == rest
