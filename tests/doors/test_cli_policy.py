"""The command line about policies, replays and releases, on a project on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.doors.desk import POLICY, Desk

NONE = POLICY + '@id("none") forbid (principal, action == Action::"pay", resource);\n'
SMALL = """
[[case]]
name = "a small one goes"
tool = "pay"
by = { id = "user:kim" }
input = { cents = 5 }
expect = "allow"
"""


@pytest.fixture
def ran(desk: Desk) -> str:
    """A run that completed; ann is an admin, fay is in finance."""
    desk.people(fay="finance", ann="admin")  # once there is an admin, only they enrol
    return str(desk.json("run", "handle", "4")["run"])


def write(desk: Desk, policy: str, cases: str = "") -> None:
    (desk.folder / "policies" / "desk.cedar").write_text(policy)
    (desk.folder / "policies" / "desk.test.toml").write_text(cases)


def edit(desk: Desk, old: str, new: str) -> None:
    file = desk.folder / "paydesk.py"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    later = file.stat().st_mtime + 10
    os.utime(file, (later, later))  # two edits in one second would leave the first one's bytecode


# on disk --------------------------------------------------------------------------------------------------------------
def test_sound_policies_are_checked(desk: Desk) -> None:
    said = desk("policy", "check")
    assert said.code == 0 and "project desk:" in said.out and not desk.journal.exists()


def test_findings_name_file_line_and_id(desk: Desk) -> None:
    write(desk, POLICY.replace("context.input.cents > 20", "context.input.sents > 20"))
    said = desk("policy", "check")
    assert said.code == 8 and "policies/desk.cedar:5 big: context.input.sents does not exist on pay" in said.out
    told = desk.json("policy", "check")
    assert not told["ok"] and told["findings"][0]["fix"] == "Did you mean cents?"


def test_a_project_without_cases_is_told_how_to_begin(desk: Desk) -> None:
    said = desk("policy", "test")
    assert said.code == 0 and "there are no cases; flyball policy draft TOOL --write" in said.out


def test_built_in_policies_are_not_counted_as_the_projects_own(desk: Desk) -> None:
    assert desk.json("policy", "check")["bundles"][0]["policies"] == 4


def test_one_finding_is_one_finding(desk: Desk) -> None:
    write(desk, POLICY.replace("cents > 20", "sents > 20"))
    assert "1 finding. The bundle" in desk("policy", "check").out


def test_a_misspelt_agent_flow_or_tool_is_a_finding_with_the_nearest(desk: Desk) -> None:
    write(
        desk,
        POLICY
        + """
@id("who") forbid (principal == Agent::"clark", action, resource);
@id("what") forbid (principal, action, resource) when { resource == Tool::"pya" || resource == Flow::"nap" };
""",
    )
    said = desk("policy", "check")
    assert said.code == 8 and "desk.cedar:9 who: there is no agent clark (clerk). Did you mean clerk?" in said.out
    assert "what: there is no tool pya (look, lose, pay). Did you mean pay?" in said.out and "2 findings." in said.out


def test_cases_pass_and_fail(desk: Desk) -> None:
    write(desk, POLICY, SMALL)
    assert desk("policy", "test").out.strip() == "1 of 1 cases pass"
    write(desk, NONE, SMALL)
    said = desk("policy", "test")
    assert said.code == 8 and "policies/desk.test.toml:2 a small one goes: expected allow, got deny" in said.out


def test_an_unknown_key_of_a_case_is_refused_with_the_nearest(desk: Desk) -> None:
    write(desk, POLICY, SMALL.replace("expect", "expects"))
    said = desk("policy", "test")
    assert said.code == 8 and "there is no key expects in a case" in said.err and "Did you mean expect?" in said.err


def test_the_schema_is_printed(desk: Desk) -> None:
    assert 'action "pay"' in desk("policy", "schema").out


@pytest.mark.promise("api-policy-drafts")
def test_a_draft_passes_check_and_test(desk: Desk) -> None:
    assert "pay-asks-owner" in desk("policy", "draft", "pay").out
    write(desk, '@id("read") permit (principal, action in Action::"read", resource);\n')
    assert desk("policy", "draft", "pay", "--write").code == 0
    assert (desk("policy", "check").code, desk("policy", "test").code) == (0, 0)
    assert "is there already" in desk("policy", "draft", "pay", "--write").err
    assert "there is no tool 'none'" in desk("policy", "draft", "none").err


@pytest.mark.promise("gate-activation-is-checked")
def test_a_file_that_is_no_text_is_a_finding_and_the_last_good_bundle_stays_in_force(desk: Desk, ran: str) -> None:
    (desk.folder / "policies" / "more.cedar").write_bytes(b"// \xff\n")
    said = desk("policy", "check")
    assert said.code == 8 and "more.cedar: the bytes at 3 are no UTF-8. Save it as UTF-8." in said.out
    assert "bad  policy: " in desk("doctor").out and desk("policy", "activate", who="ann").code == 8
    said = desk("run", "handle", "4")
    assert said.code == 0 and "are refused" in said.out and "stays in force" in said.out
    (desk.folder / "policies" / "more.cedar").rename(desk.folder / "policies" / "more.test.toml")
    said = desk("policy", "test")
    assert said.code == 8 and "more.test.toml cannot be read" in said.err and "no UTF-8" in said.err


def test_a_draft_says_what_the_object_is_like_and_its_dates_are_dates(desk: Desk) -> None:
    edit(
        desk, "from datetime import timedelta\n", "from datetime import date, timedelta\nfrom typing import Annotated\n"
    )
    edit(desk, "import Call, Critical, Run,", "import Call, Critical, Entity, Ref, Run, entity,")
    more = """
@entity("Shop", attributes={"open": "boolean", "tags": "string[]", "owner?": "string"})
async def shop(call: Call, name: str) -> Entity:
    return Entity({"open": True, "tags": []})

@tool(effect="irreversible")
async def ship(call: Call, shop: Annotated[str, Ref("Shop")], on: date) -> str:
    return "shipped"
"""
    edit(desk, "clerk = agent", f"{more}\nclerk = agent")
    assert desk("policy", "draft", "ship", "--write").code == 0
    assert 'resource = { "open" = false, "tags" = [] }' in (desk.folder / "policies" / "ship.test.toml").read_text()
    said = desk("policy", "test")
    assert said.code == 0 and said.out == "1 of 1 cases pass\n"


# in force -------------------------------------------------------------------------------------------------------------
def test_what_is_in_force_is_listed(desk: Desk, ran: str) -> None:
    out = desk("policy", "list").out
    assert "project desk: bundle" in out and "finance" in out and "over_limit" in out


@pytest.mark.promise("gate-files-are-not-watched", "gate-loosening-is-said")
def test_what_changed_on_disk_is_said_and_activated_by_an_admin(desk: Desk, ran: str) -> None:
    write(desk, NONE)
    assert "flyball policy activate" in desk("runs").out and "flyball policy activate" in desk("doctor").out
    said = desk("policy", "compare")
    assert "added: none" in said.out and "allow -> deny" in said.out
    said = desk("policy", "activate", who="ann")
    assert said.code == 0 and "is in force" in said.out and "1 tighter" in said.out
    assert desk("run", "handle", "4").code == 3 and "flyball policy activate" not in desk("runs").out
    assert "in force already" in desk("policy", "activate", who="ann").out


@pytest.mark.promise("gate-activation-needs-an-admin")
@pytest.mark.parametrize("who", ["", "fay"])
def test_nobody_else_activates(desk: Desk, ran: str, who: str) -> None:
    write(desk, NONE)
    assert desk("policy", "activate", who=who).code == 3
    assert desk("run", "handle", "4").code == 0


def test_refused_policies_and_failing_cases_are_not_activated(desk: Desk, ran: str) -> None:
    write(desk, NONE, SMALL)
    said = desk("policy", "activate", who="ann")
    assert said.code == 8 and "a small one goes" in said.err
    write(desk, POLICY.replace("cents", "sents"))
    assert desk("policy", "activate", who="ann").code == 8
    write(desk, NONE)
    assert "no bundle on disk is ffff" in desk("policy", "activate", "ffff", who="ann").err


def test_a_project_with_failing_cases_runs_nothing(desk: Desk) -> None:
    write(desk, NONE, SMALL)
    assert desk("run", "handle", "4").code == 8


def test_a_tool_is_explained_without_a_run(desk: Desk) -> None:
    asked = ("policy", "explain", "pay", "--by", "user:kim", "--input", '{"cents": 30}')
    out = desk(*asked, "--origin", "cents=request").out
    for words in ("pay: require_approval", "cents: request", "asks finance because of big", "@require_approval"):
        assert words in out, words
    assert "pay: allow" in desk(*asked, "--approval", "finance").out
    (told,) = desk.json(*asked)["explained"]
    assert [s["link"] for s in told["said"]] == ["User::kim"] and told["rounds"] == 3


def test_a_tool_is_explained_by_what_is_in_force_or_on_disk(desk: Desk, ran: str) -> None:
    write(desk, NONE)
    asked = ("policy", "explain", "pay", "--by", "user:kim", "--input", '{"cents": 3}')
    assert "pay: allow" in desk(*asked).out and "pay: deny" in desk(*asked, "--disk").out


@pytest.mark.parametrize(
    ("more", "words"),
    [(("--by", "kim"), "is no principal"), (("--by", "user:k", "--input", "["), "--input"),
     (("--by", "user:k", "--input", "1"), "no JSON object"), (("--by", "user:k", "--origin", "x"), "--origin")],
)  # fmt: skip
def test_what_cannot_be_explained_is_said(desk: Desk, more: tuple[str, ...], words: str) -> None:
    said = desk("policy", "explain", "pay", *more)
    assert said.code != 0 and words in said.err


def test_a_run_a_step_and_a_record_are_explained(desk: Desk, ran: str) -> None:
    assert "flow handle: allow" in desk("policy", "explain", ran).out
    (told,) = desk.json("policy", "explain", f"{ran}/2")["explained"]
    assert told["action"] == "pay" and told["because"] == ["effects"]
    assert desk.json("policy", "explain", f"{ran}/2/1/intent")["explained"] == [told]
    assert "there is no decision" in desk("policy", "explain", f"{ran}/9").err


# replay and releases --------------------------------------------------------------------------------------------------
@pytest.mark.promise("api-replay-executes-nothing")
def test_a_run_replays_equal_and_writes_nothing(desk: Desk, ran: str) -> None:
    before = desk("show", ran).out
    said = desk("replay", ran)
    assert said.code == 0 and f"run {ran} replays equal: 3 verdicts derived again, 3 steps folded" in said.out
    assert desk("show", ran).out == before


@pytest.mark.promise("api-replay-executes-nothing")
def test_a_difference_exits_5_and_says_where(desk: Desk, ran: str) -> None:
    edit(desk, "pay, cents=seen", "pay, cents=seen + 1")
    said = desk("replay", ran)
    assert said.code == 5 and "step 2: the log holds call pay, the code now does it with other arguments" in said.out
    assert "(paydesk.py:" in said.out and "It stands on release" in said.out and not desk.json("replay", ran)["ok"]


def test_a_kept_run_is_said_checked_and_moved(desk: Desk) -> None:
    desk.people(fay="finance")
    run = str(desk.json("run", "handle", "30")["run"])
    edit(
        desk,
        "return await run.call(pay, cents=seen)",
        "await run.call(look, 1)\n    return await run.call(pay, cents=seen)",
    )
    desk("run", "handle", "4")  # whoever opens the project looks at what waits
    assert f"flyball resume {run} --check" in desk("runs").out
    said = desk("resume", run, "--check")
    assert said.code == 5 and "step 2: the log holds call pay, the code now does call look (paydesk.py:" in said.out
    assert desk("resume", run, "--move").code == 5
    edit(desk, "await run.call(look, 1)\n    return", "return")
    assert "may move" in desk("resume", run, "--check").out
    assert desk("approve", desk.waiting(), "--reason", "fair", who="fay").code == 0
    assert desk("resume", run).code == 0


def test_check_and_move_are_about_one_run(desk: Desk) -> None:
    assert desk("resume", "--check").code == 2 and desk("resume", "--move").code == 2


def test_a_tool_alone_is_explained_by_its_latest_decision(desk: Desk, ran: str) -> None:
    (told,) = desk.json("policy", "explain", "pay")["explained"]
    assert told["record"] == f"{ran}/2/1/intent"
    assert "--by user:NAME" in desk("policy", "explain", "lose").err


def test_an_unknown_run_is_no_replay(desk: Desk, ran: str, tmp_path: Path) -> None:
    assert desk("replay", "r-0").code == 2


def test_another_terminal_replays_and_activates_while_an_owner_serves(desk: Desk, ran: str) -> None:
    with desk.process("run", "nap", "20000", "--wait") as owner:
        for _ in range(100):
            if "nap" in desk("runs").out:
                break
        write(desk, NONE)
        assert desk("replay", ran).code == 0
        assert desk("policy", "activate", who="ann").code == 0
        assert owner.poll() is None
    assert desk("run", "handle", "4").code == 3
