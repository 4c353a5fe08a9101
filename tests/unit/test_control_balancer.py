"""`ocp-appliance balancer` and its verbs on the control socket."""

import asyncio
import json
from dataclasses import replace

import pytest

from appliance.balancer.membership import Admin
from appliance.errors import ControlError
from appliance.events import BootstrapCompleted
from tests.balancers import API, BALANCED, REFUSED, Heard
from tests.boots import LIVE
from tests.controlled import Appliance


class Driven(Appliance):
    """An appliance that drives a load balancer."""

    def __init__(self, data_dir):
        super().__init__(data_dir, BALANCED)
        self.heard = self.server.balancer = Heard()

    def orders(self):
        """Return the orders that each host has, by its short name and then by the front end."""
        kept = self.registry.installations.items()
        return {host.partition(".")[0]: installation.balancer for host, installation in kept if installation.balancer}


@pytest.fixture
async def driven(tmp_path, monkeypatch):
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    driven = Driven(tmp_path)
    await asyncio.sleep(0)
    yield driven
    await driven.close()


@pytest.fixture
async def other(tmp_path, monkeypatch):
    """An appliance whose cluster has somebody else's load balancer, at addresses where nothing listens."""
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    vip = replace(LIVE.listen.dashboard[0], port=1).address
    appliance = Appliance(tmp_path, replace(LIVE, api_vips=(vip,), api_int_vips=(vip,), ingress_vips=(vip,)))
    await asyncio.sleep(0)
    yield appliance
    await appliance.close()


def words(output: str, front_end: str, member: str) -> list[str]:
    return next(line.split() for line in output.splitlines() if line.split()[:2] == [front_end, member])


# Status


@pytest.mark.parametrize("arguments", [("balancer",), ("balancer", "status")], ids=" ".join)
async def test_balancer_is_a_row_a_front_end_and_member(driven, arguments):
    driven.heard.say(API, ["m1"], since=driven.registry.now() - 600)
    code, output, _ = await driven.run(*arguments)
    assert code == 0
    assert words(output, API, "m1") == [
        API,
        "m1",
        "172.16.0.21:6443",
        "up",
        "10",
        "min",
        "2",
        "40",
        *["passed:", "HTTP", "200"],
    ]
    assert words(output, API, "-") == [API, "-", "172.16.0.110:6443", "listens", "-", "-", "-"]


async def test_failed_check_is_told_in_words(driven):
    driven.heard.say(API, ["m1"], is_up=False, check=REFUSED)
    _, output, _ = await driven.run("balancer")
    assert words(output, API, "m1")[3] == "down"
    assert REFUSED in output


async def test_why_a_member_was_drained_stands_in_its_row(driven):
    driven.heard.say(API, ["bs"], admin="drain")
    driven.heard.order(API, "bs", Admin.DRAIN, "bootstrapping is complete")
    _, output, _ = await driven.run("balancer")
    assert "bootstrapping is complete; passed: HTTP 200" in " ".join(words(output, API, "bs"))


async def test_order_that_haproxy_does_not_follow_yet_is_told(driven):
    driven.heard.say(API, ["m1"])
    driven.heard.order(API, "m1", Admin.MAINT, "by the operator")
    _, output, _ = await driven.run("balancer")
    assert "maint is wanted; by the operator" in " ".join(words(output, API, "m1"))


async def test_trouble_stands_above_the_table(driven):
    driven.heard.trouble = "HAProxy does not run"
    _, output, _ = await driven.run("balancer")
    assert output.startswith("! HAProxy does not run\n")


async def test_front_end_without_a_member_that_works_is_named(driven):
    driven.heard.say(API, ["bs", "m1", "m2", "m3"], is_up=False)
    _, output, _ = await driven.run("balancer")
    assert output.endswith(f"{API}: no member works, so connections fail\n")


async def test_text_of_a_check_cannot_steer_the_terminal(driven):
    driven.heard.say(API, ["m1"], is_up=False, check="failed: \x1b[2J\nforged")
    _, output, _ = await driven.run("balancer")
    assert "\x1b" not in output
    assert "\nforged" not in output


@pytest.mark.parametrize("arguments", [("balancer", "-o", "json"), ("balancer", "status", "-o", "json")], ids=" ".join)
async def test_balancer_as_json_has_every_row(driven, arguments):
    driven.heard.say(API, ["m1"])
    code, output, _ = await driven.run(*arguments)
    rows = json.loads(output)["balancer"]["rows"]
    assert (code, len(rows)) == (0, 14)
    assert next(row for row in rows if row["host"] == driven.heard.host("m1"))["state"] == "up"


async def test_status_has_the_rows_and_names_the_trouble(driven):
    driven.heard.trouble = "HAProxy does not run"
    (answer,) = await driven.ask("status")
    assert len(answer["status"]["balancer"]["rows"]) == 14
    assert answer["status"]["notices"] == ["load balancer: HAProxy does not run"]


async def test_status_without_a_balancer_has_none(other):
    (answer,) = await other.ask("status")
    assert answer["status"]["balancer"] is None


async def test_status_names_a_front_end_without_a_member_that_works(driven):
    driven.heard.say(API, ["bs", "m1", "m2", "m3"], is_up=False)
    _, output, _ = await driven.run("status")
    assert "load balancer: no member of api-6443 works, see `ocp-appliance balancer`" in output


async def test_status_is_silent_about_a_balancer_that_works(driven):
    driven.heard.say(API, ["m1"])
    _, output, _ = await driven.run("status")
    assert "balancer" not in output


# A load balancer of others


async def test_somebody_elses_front_ends_are_tried(other):
    code, output, _ = await other.run("balancer")
    assert code == 0
    assert "ocp45    api-6443              127.0.0.1:6443   does not answer: connection refused" in output
    assert "api-6443 on 127.0.0.1:6443: nothing listens on 127.0.0.1:6443; start the load balancer" in output


async def test_tried_front_ends_are_in_the_json(other):
    _, output, _ = await other.run("balancer", "-o", "json")
    found = json.loads(output)
    assert found["balancer"] is None
    assert {row["front_end"] for row in found["trials"]} == {API, "machine-config-22623", "ingress-443", "ingress-80"}


async def test_cluster_without_vips_has_nothing_to_try(tmp_path, monkeypatch):
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    appliance = Appliance(tmp_path, replace(LIVE, api_vips=(), api_int_vips=(), ingress_vips=()))
    await asyncio.sleep(0)
    _, output, _ = await appliance.run("balancer")
    await appliance.close()
    assert output == "cluster.yaml has no load balancer: no `loadBalancer`, and no VIPs that could be tried.\n"


async def test_own_front_ends_are_not_tried(driven):
    (answer,) = await driven.ask("balancer")
    assert answer["trials"] == []


# Orders


@pytest.mark.parametrize("order", ["drain", "maint"])
async def test_order_reaches_a_host(driven, order):
    code, output, _ = await driven.run("balancer", order, "m1")
    assert (code, driven.orders()) == (0, {"m1": {"": order}})
    assert output.startswith(f"{driven.heard.host('m1')}: ")
    assert output.endswith("in every front end\n")


async def test_ready_takes_an_order_back(driven):
    await driven.run("balancer", "maint", "m1")
    code, output, _ = await driven.run("balancer", "ready", "m1")
    assert (code, driven.orders()) == (0, {})
    assert "gets connections while its health check passes" in output


async def test_order_is_for_one_front_end_if_that_is_named(driven):
    _, output, _ = await driven.run("balancer", "drain", "m1", "--frontend", API)
    assert driven.orders() == {"m1": {API: "drain"}}
    assert output == f"{driven.heard.host('m1')}: keeps its connections, and gets no new ones, in {API}\n"


async def test_order_takes_a_role(driven):
    assert (await driven.run("balancer", "maint", "--role", "worker"))[0] == 0
    assert list(driven.orders()) == ["w1", "w2", "w3"]


async def test_drained_bootstrap_is_told_as_complete(driven):
    code, output, _ = await driven.run("balancer", "drain", "bs")
    assert (code, driven[driven.boot(0)].bootstrapped_by) == (0, "operator")
    assert output == f"{driven.heard.host('bs')}: bootstrapping is complete, so that it gets no new connections\n"


async def test_refused_host_is_told_after_the_others_have_the_order(driven):
    code, output, errors = await driven.run("balancer", "drain", "w1", "m1", "--frontend", API)
    assert (code, driven.orders()) == (69, {"m1": {API: "drain"}})
    assert output.startswith(driven.heard.host("m1"))
    assert errors.startswith(f"{driven.heard.host('w1')} is not a member of {API}")


async def test_mistake_that_concerns_all_hosts_is_told_once(driven):
    _, _, errors = await driven.run("balancer", "drain", "m1", "m2", "--frontend", "api")
    assert errors.count("unknown front end 'api'") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("drain",), 2, "no host selected; name hosts, or use --role"),
        (("drain", "m9"), 69, "host 'm9' not found"),
        (("drain", "--role", "king"), 2, "'king' is not one of"),
        (("drain", "w1", "--frontend", API), 69, f"is not a member of {API}"),
        (
            ("drain", "m1", "--frontend", "api"),
            69,
            "unknown front end 'api'; front ends: api-6443, machine-config-22623",
        ),
        (("stop", "m1"), 2, "No such command 'stop'"),
    ],
)
async def test_wrong_order_gets_a_readable_error(driven, arguments, code, said):
    found, _, errors = await driven.run("balancer", *arguments)
    assert found == code
    assert said in errors
    assert driven.orders() == {}


async def test_orders_need_a_balancer_that_the_appliance_drives(other):
    code, _, errors = await other.run("balancer", "drain", "bs")
    assert (code, errors) == (
        69,
        "the appliance drives no load balancer; set `loadBalancer: {engine: haproxy}`\n",
    )


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "order and front_end must be text"),
        ({"order": ["drain"], "hosts": ["m1"]}, "order and front_end must be text"),
        ({"order": "drain", "hosts": ["m1"], "front_end": {"a": 1}}, "order and front_end must be text"),
        ({"order": "drain"}, "no host selected"),
    ],
    ids=str,
)
async def test_bad_request_is_refused(driven, request_, said):
    with pytest.raises(ControlError, match=said):
        await driven.ask("balance", **request_)
    assert driven.orders() == {}


async def test_unknown_order_is_refused(driven):
    (answer,) = await driven.ask("balance", order="stop", hosts=["m1"])
    assert answer["refused"] == "unknown order 'stop'; valid orders: ready, drain, maint"


async def test_command_without_an_appliance_ends_with_69(driven):
    await driven.close()
    code, _, errors = await driven.run("balancer", "drain", "bs")
    assert code == 69
    assert errors.startswith("no appliance is listening on ")


async def test_socket_may_be_named_before_the_subcommand(driven):
    code, _, _ = await driven.run("balancer", "--socket", str(driven.server.path), "status")
    assert code == 0


async def test_status_says_that_bootstrapping_is_complete(driven):
    driven.happen(BootstrapCompleted(driven.heard.host("bs"), "checks", "every master answers"), 0)
    _, output, _ = await driven.run("status")
    assert "ocp45: bootstrapping has been complete for 0 s (by checks)" in output


async def test_status_of_a_cluster_that_boots_has_no_such_line(driven):
    assert "bootstrapping" not in (await driven.run("status"))[1]
