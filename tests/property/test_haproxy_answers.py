"""What HAProxy's sockets send is read whatever it is: members of a front end can write into it."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.balancer import runtime
from appliance.balancer.runtime import MAX_WORDS, check_in_words

STAT = """\
# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,act,bck,\
chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,\
check_code,check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,req_rate_max,\
req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,last_chk,last_agt,
api-6443,m1,0,0,3,0,,17,0,0,,0,,0,0,0,0,UP,1,1,0,1,1,13,13,,1,2,1,,0,,2,0,,0,L7OK,200,4,,,,,,,,,,,0,0,,,,,-1,OK,,
"""
STATE = """\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight
2 api-6443 1 m1 127.0.0.1 2 0 1 1
"""
# Bytes that mean something to the parsers, mixed into real answers.
hostile = st.text(st.sampled_from('",;#\n\r\0 \x1b\u2028-09azUP') | st.characters(), max_size=60)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and len(text) <= MAX_WORDS + 40


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    runtime.server_stats(text)
    runtime.admins(text)
    runtime.info(text)
    runtime.processes(text)


@given(hostile, st.integers(0, len(STAT)), st.integers(0, 60))
def test_statistics_with_anything_in_them_are_read(text: str, at: int, cut: int) -> None:
    for stat in runtime.server_stats(STAT[:at] + text + STAT[at + cut :]).values():
        assert _is_plain(stat.check)


@given(hostile, st.integers(0, len(STATE)), st.integers(0, 60))
def test_states_with_anything_in_them_are_read(text: str, at: int, cut: int) -> None:
    found = runtime.admins(STATE[:at] + text + STATE[at + cut :])
    assert set(found.values()) <= {"ready", "drain", "maint"}


@given(hostile, hostile, hostile, hostile)
def test_result_of_a_check_is_one_short_printable_line(word: str, code: str, milliseconds: str, said: str) -> None:
    assert _is_plain(check_in_words(word, code, milliseconds, said))


@given(hostile)
def test_one_members_words_do_not_hide_another_member(said: str) -> None:
    first, second = STAT.splitlines()
    quoted = '"' + said.replace('"', '""') + '"'
    enemy = second.replace(",m1,", ",m2,").replace(",OK,,", f",{quoted},,")
    assert ("api-6443", "m1") in runtime.server_stats(f"{first}\n{enemy}\n{second}\n")
