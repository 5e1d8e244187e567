"""Running, reading and ending runs from the command line, without another owner."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flyball.doors.cli.asking import worst
from flyball.doors.cli.exit_code import ExitCode
from flyball.doors.cli.telling import amounts, dollars
from tests.doors.desk import POLICY, SCRIPTED, TOML, TOOLS, Desk, desk_in

LONG_WINDED = """
@tool(effect="read")
async def echo(call: Call, text: str) -> str:
    return text

@flow
async def echoes(run: Run, text: str) -> str:
    return await run.call(echo, text)
"""


def test_a_run_that_completes_exits_0_and_says_its_result(desk: Desk) -> None:
    said = desk("run", "handle", "3")
    assert said.code == 0 and "completed" in said.out and '"paid 6 to acme"' in said.out


@pytest.mark.promise("api-exit-codes")
@pytest.mark.parametrize(
    ("args", "code", "reason"),
    [
        (("handle", "30"), 4, "waiting"),
        (("forbidden", "1"), 3, "policy_denied"),
        (("looks", "5", "--limit", "steps=2"), 6, "max_steps"),
        (("risky", "1"), 4, "waiting"),
    ],
)
def test_the_exit_code_says_how_a_run_ended(desk: Desk, args: tuple[str, ...], code: int, reason: str) -> None:
    said = desk("run", *args, "--json")
    assert (said.code, said.data["kind"], said.data["reason"]) == (code, "run", reason)


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (("nope", "1"), "there is no flow or agent 'nope'"),
        (("handle", "{"), "the input does not fit"),
        (("handle", "1.5"), "the input does not fit"),
        (("handle", "@missing.json"), "missing.json cannot be read"),
        (("handle", "1", "--limit", "stepz=1"), "there is no limit 'stepz'"),
        (("handle", "1", "--limit", "steps=x"), "steps='x' is no limit"),
        (("handle", "1", "--limit", "steps"), "'steps' is not NAME=VALUE"),
    ],
)
def test_what_cannot_be_run_is_a_usage_error(desk: Desk, args: tuple[str, ...], what: str) -> None:
    said = desk("run", *args)
    assert said.code == 2 and what in said.err


def test_an_input_is_json_text_or_a_file(desk: Desk) -> None:
    Path("input.json").write_text("4")
    assert desk.json("run", "handle", "@input.json")["value"] == "paid 8 to acme"
    desk("run", "ask", "go out")
    assert desk.json("approvals")["approvals"][0]["question"] == "May we go out?"


def test_the_same_key_is_the_same_run(desk: Desk) -> None:
    first = desk.json("run", "handle", "3", "--key", "k")
    assert desk.json("run", "handle", "3", "--key", "k")["run"] == first["run"]
    assert desk("run", "handle", "4", "--key", "k").code == 1


def test_runs_are_listed_newest_first_with_what_they_wait_for(desk: Desk) -> None:
    desk("run", "handle", "3")
    waiting = desk.json("run", "handle", "30")["run"]
    told = desk.json("runs")
    assert told["runs"][0]["id"] == waiting and told["runs"][0]["waits"] and told["more"] == 0
    assert [r["state"] for r in desk.json("runs", "--state", "ended")["runs"]] == ["ended"]
    assert "1 older ones" in desk("runs", "--most", "1").out


def test_before_the_first_run_reading_says_so_and_writes_nothing(desk: Desk) -> None:
    for args in (("runs",), ("approvals",), ("show", "r-1"), ("budget", "show")):
        said = desk(*args)
        assert said.code == 1 and "nothing has run" in said.err
    assert not desk.journal.exists()


def test_show_tells_who_did_what_why_at_what_cost_and_what_is_open(desk: Desk) -> None:
    run = desk.json("run", "handle", "30")["run"]
    out = desk("show", run).out
    for words in (
        "vouched for by os",
        "look (read): executed",
        "pay (irreversible): waiting",
        "because of project/big",
        "cents = 60  (from unknown)",
        "cost: 1 step, 1 call",
        "open: approval",
        "waits for finance",
    ):
        assert words in out, words
    told = desk.json("show", run)["run"]
    assert (told["kind"], told["steps"][2]["authority"]) == ("flow", [f"user:{told['by']['id'].partition(':')[2]}"])
    assert told["open"][0]["groups"] == ["finance"] and told["cost"]["used"] == {"steps": 1, "calls": 1}


def test_a_run_that_is_not_there_is_a_usage_error(desk: Desk) -> None:
    desk("run", "handle", "3")
    for args in (("show", "r-1"), ("watch", "r-1"), ("resume", "r-1"), ("ledger", "prove", "r-1")):
        assert desk(*args).code == 2, args


def test_watch_follows_a_run_to_its_end(desk: Desk) -> None:
    run = desk.json("run", "handle", "3")["run"]
    lines = [json.loads(line) for line in desk("watch", run, "--json").out.splitlines()]
    assert [each["kind"] for each in lines[:2]] == ["watching", "event"] and lines[-1]["event"]["event"] == "ended"
    later = desk("watch", run, "--after", str(lines[-2]["event"]["sequence"])).out.splitlines()
    assert len(later) == 1 and "ended  reason=completed" in later[0]


def test_stop_ends_a_waiting_run_without_the_projects_code(desk: Desk) -> None:
    run = desk.json("run", "handle", "30")["run"]
    Path("paydesk.py").write_text("raise RuntimeError('broken')")
    told = desk.json("stop", run, "--reason", "not needed")
    assert (told["kind"], told["reason"], told["state"]) == ("stopped", "stopped", "ended")
    assert desk("stop", run, "--reason", "again").code == 1 and desk("show", run).code == 0
    assert desk("resume", run).code == 1  # this needs the code


def test_resume_without_a_run_takes_every_due_run(desk: Desk) -> None:
    assert "no run is due" in desk("resume").out
    desk("run", "nap", "1")
    assert desk("run", "nap", "60000").code == 4
    told = desk.json("resume")
    assert [r["reason"] for r in told["runs"]] in (["completed"], [])


def test_resume_waits_for_a_timer_where_it_is_asked_to(desk: Desk) -> None:
    run = desk.json("run", "nap", "150")["run"]
    assert desk.json("resume", run, "--wait")["runs"][0]["value"] == "rested"


def test_one_exit_code_for_several_runs() -> None:
    ok, wait, denied, limit = ExitCode.OK, ExitCode.WAITING, ExitCode.DENIED, ExitCode.LIMIT
    assert [worst(codes) for codes in ([], [ok, wait], [wait, denied], [denied, limit])] == [ok, wait, denied, 1]


def test_amounts_are_words() -> None:
    assert (
        amounts({"steps": 1, "calls": 2, "usd": 1_500_000, "ms": 1500, "tokens": 0}) == "1 step, 2 calls, $1.50, 1.5 s"
    )
    assert (amounts({}), dollars(1), dollars(12_000_001)) == ("nothing", "$0.000001", "$12.000001")


@pytest.mark.promise("gate-starter", "api-scripted-says-so")
@pytest.mark.parametrize("args", [("runs",), ("approvals",), ("budget", "show"), ("run", "handle", "3"), ("resume",)])
def test_every_surface_says_scripted_models_and_the_starter_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    desk = desk_in(tmp_path / "desk", capsys, monkeypatch, TOML.replace('policies = "policies"\n', "") + SCRIPTED)
    desk("run", "looks", "1")
    out = desk(*args).out
    assert "note: scripted, no model answers: default" in out and "flyball/starter" in out
    assert desk.json(*args)["notices"].items() >= {"scripted": ["default"], "starter": True}.items()


def test_budgets_are_shown_with_their_limits(desk: Desk) -> None:
    Path("flyball.toml").write_text(f"{TOML}[limits]\nrun = {{ steps = 40 }}\n")
    run = desk.json("run", "handle", "3")["run"]
    assert "limits of each run: steps 40" in desk("budget", "show").out
    told = desk.json("budget", "show")
    assert {"node": f"run/{run}", "spent": {"steps": 2, "calls": 2, "effects": 1}, "reserved": {}} in told["budgets"]


def test_a_project_opens_with_the_prices_that_it_pins_and_no_others(desk: Desk) -> None:
    desk("run", "handle", "3")
    digest = desk.json("budget", "show")["prices"]
    Path("flyball.toml").write_text(f'{TOML}[prices]\nfile = "prices.toml"\ndigest = "{digest}"\n')
    Path("prices.toml").write_text("prices = 1\n")
    assert desk("run", "handle", "3").code == 0
    Path("prices.toml").write_text('prices = 1\n[models."gpt-5"]\ninput = 1\noutput = 1\n')
    said = desk("run", "handle", "3")
    assert said.code == 1 and f"prices.digest pins {digest}" in said.err and desk("runs").code == 0


def test_a_policy_that_cannot_be_read_stops_the_run_and_not_the_reader(desk: Desk) -> None:
    desk("run", "handle", "3")
    Path("policies/desk.cedar").write_text(f"{POLICY} permit (")
    assert desk("runs").code == 0 and desk("approvals").code == 0


def test_show_is_brief_about_what_only_reads_and_whole_where_it_is_asked_to(desk: Desk) -> None:
    Path("paydesk.py").write_text(TOOLS + LONG_WINDED)
    run = desk.json("run", "echoes", "word " * 100)["run"]
    brief, whole = desk("show", run).out, desk("show", run, "--full").out
    assert "… (" in brief and "… (" not in whole and "word " * 100 in whole
