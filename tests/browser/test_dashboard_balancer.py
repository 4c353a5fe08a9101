"""The load balancer on the dashboard's page, in headless Chromium."""

from dataclasses import replace

import pytest

from appliance.balancer.membership import Admin
from appliance.events import MemberFails, MemberMoved
from appliance.model import Role
from tests.balancers import API, BALANCED, MACHINE_CONFIG, REFUSED, Heard
from tests.boots import LIVE
from tests.browser_page import CONTRASTS, PHONE, opened
from tests.clusters import host as new_host
from tests.dashboards import Dashboard

MEMBER = "[aria-label='api-6443'] [data-member='{}']"
GOES = "[aria-label='api-6443'] p"


@pytest.fixture
async def dashboard(tmp_path):
    heard = Heard()
    heard.say(API, ["m1", "m2"])
    heard.say(API, ["m3"], is_up=False, check=REFUSED)
    heard.say(API, ["bs"], admin="drain")
    heard.order(API, "bs", Admin.DRAIN, "bootstrapping is complete")
    heard.say(MACHINE_CONFIG, ["bs", "m1", "m2", "m3"], is_up=False, check="failed: no reply within 2 s")
    heard.say("ingress-443", ["w1", "w2"])
    heard.say("ingress-443", ["w3"], is_checked=False)
    dashboard = Dashboard(tmp_path, BALANCED, heard)
    await dashboard.start()
    yield dashboard
    await dashboard.close()


async def test_page_says_who_gets_connections(dashboard):
    async with opened(dashboard.url) as view:
        assert await view.page.is_visible("#balancer")
        assert await view.text(GOES) == "Connections go to m1, m2."
        assert await view.text("[aria-label='api-6443'] .faint") == "listens on 172.16.0.110:6443, 172.16.0.111:6443"
        await view.keep("balancer")
    assert view.complaints == []


async def test_front_end_without_a_member_that_works_says_so(dashboard):
    async with opened(dashboard.url) as view:
        goes = "[aria-label='machine-config-22623'] p"
        assert await view.text(goes) == "No member works, so connections fail."
        assert await view.page.get_attribute(goes, "class") == "hint"


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("m1", "member-up", ["2 now, 40 in all", "passed: HTTP 200"]),
        ("m3", "member-down", [REFUSED]),
        ("bs", "member-drain", ["backup", "bootstrapping is complete"]),
    ],
)
async def test_member_has_its_state_and_why(dashboard, name, kind, words):
    async with opened(dashboard.url) as view:
        assert await view.page.get_attribute(MEMBER.format(name), "class") == f"member {kind}"
        text = await view.text(MEMBER.format(name))
    assert [word for word in words if word not in text] == []


async def test_bootstrap_gets_connections_while_no_master_works(dashboard):
    dashboard.balancer.standings.clear()
    dashboard.balancer.say(API, ["bs"])
    dashboard.balancer.say(API, ["m1", "m2", "m3"], is_up=False)
    async with opened(dashboard.url) as view:
        assert await view.text(GOES) == "Connections go to bs."


async def test_page_follows_the_load_balancer(dashboard):
    heard = dashboard.balancer
    async with opened(dashboard.url) as view:
        heard.say(API, ["m1"], is_up=False, check=REFUSED)
        dashboard.happen(MemberFails(heard.host("m1"), API, REFUSED))
        await view.wait_for_text(GOES, "Connections go to m2.")
        heard.say(API, ["m1", "m3"])
        dashboard.happen(MemberMoved(heard.host("m1"), API, "ready"))
        await view.wait_for_text(GOES, "Connections go to m1, m2, m3.")
    assert view.complaints == []


async def test_host_that_leaves_a_front_end_leaves_the_page(dashboard):
    async with opened(dashboard.url) as view:
        assert await view.page.query_selector(MEMBER.format("m3"))
        dashboard.balancer.cluster = replace(BALANCED, hosts=BALANCED.hosts[:3] + BALANCED.hosts[4:])
        dashboard.happen(MemberMoved("", API, "maint"))
        await view.page.wait_for_selector(MEMBER.format("m3"), state="detached")


async def test_page_without_a_load_balancer_has_no_section(tmp_path):
    dashboard = Dashboard(tmp_path, LIVE)
    await dashboard.start()
    async with opened(dashboard.url) as view:
        assert not await view.page.is_visible("#balancer")
    await dashboard.close()


async def test_text_of_a_check_stays_text(dashboard):
    dashboard.balancer.say(API, ["m1"], is_up=False, check="<img src=x onerror=alert(1)>")
    async with opened(dashboard.url) as view:
        assert "<img" in await view.text(MEMBER.format("m1"))
        assert await view.page.query_selector("main img") is None


@pytest.mark.parametrize("size", [PHONE, (1240, 900)], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_word_can_be_read(dashboard, size, scheme):
    async with opened(dashboard.url, size, scheme) as view:
        await view.keep(f"balancer-{'phone' if size == PHONE else 'desktop'}-{scheme}")
        assert await view.page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert await view.page.evaluate(CONTRASTS) == []


async def test_of_many_members_those_that_get_connections_are_counted(tmp_path):
    workers = tuple(new_host(f"w{n}", Role.WORKER, f"172.16.1.{n}", f"02:00:00:00:01:{n:02x}") for n in range(1, 201))
    heard = Heard(replace(BALANCED, hosts=BALANCED.hosts[:4] + workers))
    heard.say("ingress-443", [f"w{n}" for n in range(1, 190)])
    heard.say("ingress-443", [f"w{n}" for n in range(190, 201)], is_up=False, check=REFUSED)
    dashboard = Dashboard(tmp_path, heard.cluster, heard)
    await dashboard.start()
    async with opened(dashboard.url) as view:
        assert await view.text("[aria-label='ingress-443'] p") == "Connections go to 189 of 200 members."
        assert await view.page.is_visible("[aria-label='ingress-443'] [data-member='w195'] .why")
        assert not await view.page.is_visible("[aria-label='ingress-443'] [data-member='w1'] .why")
        await view.keep("balancer-200")
    await dashboard.close()
    assert view.complaints == []


async def test_sign_of_a_member_stands_in_its_tile(dashboard):
    inside = """signs => signs.every((sign) => {
      const [own, tile] = [sign.getBoundingClientRect(), sign.closest("li").getBoundingClientRect()];
      return own.top >= tile.top && own.bottom <= tile.bottom && own.left >= tile.left && own.width > 0;
    })"""
    async with opened(dashboard.url) as view:
        assert await view.page.eval_on_selector_all(".member .sign", inside)
        assert await view.page.eval_on_selector_all(".member .sign", "signs => signs.length") == 14
