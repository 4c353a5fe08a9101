"""A kernel argument reaches the kernel as cluster.yaml has it, whatever is in it."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.boot.grub import word
from tests.unit.simulate.test_grub import said

# As cluster.yaml may have them: printable, with single spaces between other characters.
ARGUMENTS = st.from_regex(r"[!-~]+( [!-~]+)*", fullmatch=True)


@given(ARGUMENTS)
def test_argument_is_one_word_of_grub_s_language_and_unchanged_but_for_double_quotes(argument: str) -> None:
    wanted = argument.replace('"', "")
    assert said(f"echo {word(argument)}") == [wanted]
