"""iPXE's script language, according to its manual (ipxe.org/cmd, ipxe.org/scripting) and its source."""

import pytest

from appliance.boot import ipxe
from appliance.simulate.interpreter import MAX_COMMANDS, Interpreter
from appliance.simulate.script import (
    CommandError,
    Ending,
    How,
    IpxeImage,
    Part,
    ScriptError,
    commands_of,
    logical_lines,
    options_of,
)
from appliance.simulate.settings import Settings
from tests.clusters import reference_cluster

BASE = "http://192.0.2.101"


class Files:
    """The files of a web server, and a console whose output can be read."""

    def __init__(self, **files: str) -> None:
        self.files = {f"{BASE}/{name.replace('_', '.')}": text for name, text in files.items()}
        self.asked: list[str] = []
        self.shown: list[str] = []
        self.slept = 0.0
        self.has_disk = True

    async def fetch(self, url: str, part: Part, seconds: float | None) -> IpxeImage:
        self.asked.append(url)
        if url not in self.files:
            raise CommandError(f"{url}: status 404")
        body = self.files[url].encode()
        return IpxeImage(url.rpartition("/")[2], url, len(body), body if part is Part.SCRIPT else b"")

    async def dhcp(self) -> None:
        self.shown.append("dhcp")

    async def pause(self, seconds: float) -> None:
        self.slept += seconds

    async def boots_disk(self) -> bool:
        return self.has_disk

    def show(self, text: str) -> None:
        self.shown.append(text)


async def run(script: str, *, files: Files | None = None, choice: str = "", **settings: str) -> Ending:
    kept = Settings()
    for name, text in settings.items():
        kept.store(name, text.encode())
    body = f"#!ipxe\n{script}".encode()
    image = IpxeImage("boot.ipxe", f"{BASE}/boot.ipxe", len(body), body)
    return await Interpreter(kept, files or Files(), choice=choice).run(image)


async def shown(script: str, *, choice: str = "", **settings: str) -> list[str]:
    files = Files()
    await run(script, files=files, choice=choice, **settings)
    return files.shown


async def test_a_script_that_ends_leaves_with_status_0() -> None:
    assert await run("echo hello") == Ending(How.EXIT, 0)


async def test_exit_gives_its_status() -> None:
    assert await run("exit 1\necho never") == Ending(How.EXIT, 1)


async def test_a_failing_line_ends_the_script_with_its_number_and_reason() -> None:
    with pytest.raises(ScriptError, match=r"line 3: 'iseq a b' failed"):
        await run("echo one\niseq a b\necho two")


async def test_a_failing_line_before_two_bars_does_not_end_the_script() -> None:
    assert await shown("iseq a b ||\necho two") == ["two"]


async def test_what_follows_two_bars_runs_only_after_a_failure() -> None:
    assert await shown("iseq a b || echo failed\niseq a a || echo not shown") == ["failed"]


async def test_what_follows_two_ampersands_runs_only_after_a_success() -> None:
    assert await shown("iseq a a && echo same ||\niseq a b && echo not shown ||") == ["same"]


async def test_joints_go_from_left_to_right() -> None:
    assert await shown("iseq a b || iseq a a && echo reached") == ["reached"]


async def test_a_semicolon_goes_on_whatever_came_before() -> None:
    assert await shown("iseq a b ; echo reached") == ["reached"]


async def test_a_number_sign_begins_a_comment_at_a_words_beginning_only() -> None:
    assert await shown("echo a#b # c") == ["a#b"]


async def test_tokens_are_expanded_when_their_command_runs() -> None:
    assert await shown("set x 1 && echo ${x}") == ["1"]


async def test_an_expansion_with_spaces_stays_one_token() -> None:
    assert await shown("set x two words\niseq ${x} ${x} && echo equal ||") == ["equal"]


async def test_an_unset_setting_is_an_empty_token() -> None:
    assert await shown("isset ${none} && echo set || echo unset") == ["unset"]


async def test_goto_finds_labels_before_and_after() -> None:
    assert await shown("goto second\n:first\necho first\nexit\n:second\necho second\ngoto first") == ["second", "first"]


async def test_goto_leaves_the_rest_of_its_line() -> None:
    assert await shown("goto end && echo not shown\n:end\necho end") == ["end"]


async def test_a_missing_label_is_an_error_that_names_it() -> None:
    with pytest.raises(ScriptError, match="label 'nowhere' not found"):
        await run("goto nowhere")


async def test_a_label_may_come_from_a_setting() -> None:
    assert await shown("set where there\ngoto ${where}\n:there\necho there") == ["there"]


async def test_a_backslash_joins_a_line_to_the_next() -> None:
    assert await shown("echo one \\\n  two") == ["one two"]


async def test_chain_runs_the_other_script_and_comes_back() -> None:
    files = Files(other_ipxe="#!ipxe\necho inner\nexit 0\necho never")
    await run("chain other.ipxe\necho outer", files=files)
    assert files.shown == ["inner", "outer"]


async def test_a_chained_script_that_exits_with_an_error_fails_the_chain_command() -> None:
    files = Files(other_ipxe="#!ipxe\nexit 3")
    with pytest.raises(ScriptError, match="ended with exit 3"):
        await run("chain other.ipxe", files=files)


async def test_chain_with_replace_does_not_come_back() -> None:
    files = Files(other_ipxe="#!ipxe\necho inner\nexit 4")
    assert await run("chain --replace other.ipxe ||\necho outer", files=files) == Ending(How.EXIT, 4)
    assert files.shown == ["inner"]


async def test_a_chain_that_replaces_itself_nests_nothing() -> None:
    counting = "#!ipxe\ninc n\niseq ${n} 50 && exit 7 ||\nsleep 1\nchain --replace boot.ipxe"
    files = Files(boot_ipxe=counting)
    assert await run("chain --replace boot.ipxe", files=files) == Ending(How.EXIT, 7)
    assert files.slept == 49


async def test_scripts_nest_to_a_bound() -> None:
    files = Files(boot_ipxe="#!ipxe\nchain boot.ipxe")
    with pytest.raises(ScriptError, match="nested 17 scripts deep"):
        await run("chain boot.ipxe", files=files)


async def test_a_missing_file_can_be_caught() -> None:
    assert await shown("chain missing.ipxe || goto failed\nexit\n:failed\necho caught") == ["caught"]


async def test_file_that_is_not_a_script_is_not_run() -> None:
    with pytest.raises(ScriptError, match="does not begin with #!ipxe"):
        await Interpreter(Settings(), Files()).run(IpxeImage("x", f"{BASE}/x", 6, b"<html>"))


async def test_relative_urls_belong_to_the_script_that_names_them() -> None:
    files = Files()
    files.files = {f"{BASE}/ipxe/a.ipxe": "#!ipxe\nchain b.ipxe", f"{BASE}/ipxe/b.ipxe": "#!ipxe"}
    await run("chain ipxe/a.ipxe", files=files)
    assert files.asked == [f"{BASE}/ipxe/a.ipxe", f"{BASE}/ipxe/b.ipxe"]


async def test_kernel_and_initrd_reach_boot_with_names_and_arguments() -> None:
    files = Files(vmlinuz="k", initrd_img="i")
    ending = await run("kernel vmlinuz a=1 initrd=main\ninitrd --name main initrd.img\nboot", files=files)
    assert ending.kernel is not None
    assert (ending.how, ending.kernel.arguments) == (How.BOOT, "a=1 initrd=main")
    assert [image.name for image in ending.initrds] == ["main"]


async def test_an_initrd_without_a_name_is_named_after_its_file() -> None:
    files = Files(vmlinuz="k")
    files.files[f"{BASE}/initrd.img?x=1"] = "i"
    ending = await run("kernel vmlinuz\ninitrd initrd.img?x=1\nboot", files=files)
    assert [image.name for image in ending.initrds] == ["initrd.img"]


async def test_imgfree_forgets_what_was_fetched() -> None:
    with pytest.raises(ScriptError, match="no kernel has been fetched"):
        await run("kernel vmlinuz\nimgfree\nboot", files=Files(vmlinuz="k"))


MENU = """
menu Choose
item --gap -- ---- install ----
item --key m master Install a master
item exit Leave
choose --timeout 10000 --default master taken || goto escaped
echo ${taken}
"""


async def test_a_menu_takes_its_default_when_nobody_is_there() -> None:
    assert (await shown(MENU))[-1] == "master"


async def test_a_menu_takes_what_somebody_chooses() -> None:
    assert await shown(MENU, choice="exit") == ["exit"]


@pytest.mark.parametrize("entry", ["bootstrap", "master", "worker"])
async def test_an_install_entry_shows_a_stranger_its_line_and_comes_back_to_the_menu(entry: str) -> None:
    files = Files()
    script = ipxe.menu(reference_cluster()).removeprefix("#!ipxe\n")
    ending = await run(script, files=files, choice=entry, mac="02:00:00:00:00:07")

    assert f"role: {entry}, macAddress: " in files.shown[-1]
    assert (ending.how, "at the menu" in ending.text) == (How.WAITS, True)


async def test_a_menu_without_a_timeout_waits_for_ever() -> None:
    ending = await run("menu Choose\nitem a A\nchoose taken")
    assert ending.how is How.WAITS


async def test_a_choice_that_the_menu_lacks_is_an_error_that_lists_what_there_is() -> None:
    with pytest.raises(ScriptError, match="which has a"):
        await run("menu Choose\nitem a A\nchoose taken", choice="z")


async def test_a_command_that_this_ipxe_lacks_fails() -> None:
    with pytest.raises(ScriptError, match="imgverify: command not found"):
        await run("imgverify vmlinuz sig")


async def test_sanboot_ends_at_the_disk() -> None:
    assert (await run("sanboot --no-describe --drive 0x80")).how is How.SANBOOT


async def test_sanboot_fails_on_an_empty_disk() -> None:
    files = Files()
    files.has_disk = False
    assert await run("sanboot --drive 0x80 || exit 1", files=files) == Ending(How.EXIT, 1)


async def test_a_script_that_goes_round_in_a_circle_is_stopped() -> None:
    ending = await run(":again\nset x 1\ngoto again")
    assert ending.how is How.WAITS
    assert str(MAX_COMMANDS) in ending.text


async def test_nested_settings_expand_from_the_inside() -> None:
    assert await shown("set name x\nset x deep\necho ${${name}}") == ["deep"]


async def test_a_setting_that_holds_itself_is_an_error() -> None:
    with pytest.raises(ScriptError, match="without end"):
        await run("echo ${loop}", loop="${loop}")


async def test_numbers_count_up() -> None:
    assert await shown("set n:int32 9\ninc n\necho ${n:int32}") == ["10"]


def test_a_mac_shows_in_every_form() -> None:
    settings = Settings()
    settings.store("mac", bytes.fromhex("0050569637c8"), "hex")
    assert settings.expand("${net0/mac} ${mac:hexhyp} ${netX/mac:hexraw}") == (
        "00:50:56:96:37:c8 00-50-56-96-37-c8 0050569637c8"
    )


def test_a_string_is_escaped_for_a_url() -> None:
    settings = Settings()
    settings.store("hostname", b"a b/c")
    assert settings.expand("${hostname:uristring}") == "a%20b%2Fc"


def test_options_end_at_the_first_word_that_is_none() -> None:
    assert options_of("kernel", ["--name", "main", "vmlinuz", "--x"]) == ({"name": "main"}, ["vmlinuz", "--x"])


def test_an_option_takes_its_value_after_an_equals_sign_too() -> None:
    assert options_of("initrd", ["--name=main", "img"]) == ({"name": "main"}, ["img"])


def test_short_options_mean_the_long_ones() -> None:
    assert options_of("choose", ["-d", "a", "-t", "5", "x"]) == ({"default": "a", "timeout": "5"}, ["x"])


def test_an_option_without_its_value_fails() -> None:
    with pytest.raises(CommandError, match="--name requires a value"):
        options_of("initrd", ["--name"])


@pytest.mark.parametrize("words", [["-", "a"], ["-x", "a"], ["--long", "a"], ["-n", "-"]])
def test_a_word_of_echo_that_begins_with_a_hyphen_is_an_unknown_option(words: list[str]) -> None:
    with pytest.raises(CommandError, match="is not an option of echo; write -- before text that begins with a hyphen"):
        options_of("echo", words)


async def test_echo_shows_the_text_after_two_hyphens() -> None:
    assert await shown("echo -- - {a: b}") == ["- {a: b}"]


async def test_echo_with_n_begins_a_line_that_the_next_one_ends() -> None:
    assert await shown("echo -n one,\necho two\necho three") == ["one,two", "three"]


def test_a_hyphen_behind_the_first_word_is_text() -> None:
    assert options_of("set", ["x", "-", "--y"]) == ({}, ["x", "-", "--y"])


def test_quotes_are_letters_like_others() -> None:
    assert commands_of('echo "a b"') == [("", ["echo", '"a', 'b"'])]


def test_windows_line_ends_are_line_ends() -> None:
    assert logical_lines("#!ipxe\r\necho\r\n") == ["#!ipxe", "echo", ""]


@pytest.mark.parametrize(
    "line",
    ["sleep \u00b2", f"sleep {'9' * 5000}", "chain http://[", "kernel http://192.0.2.1:x]/k", f"inc n 0x{'f' * 5000}"],
)
async def test_a_command_with_absurd_words_fails_like_any_other(line: str) -> None:
    assert await shown(f"{line} || echo failed") == ["failed"]


async def test_a_timeout_that_is_no_number_is_none() -> None:
    assert (await run("menu m\nitem a\nchoose --timeout \u00b2 x")).how is How.WAITS
