from __future__ import annotations

from flyball.verify.report import SHOWN, Check, Findings, Report, counted, named


def test_a_report_is_ok_when_every_check_is() -> None:
    good, bad = Check(name="a", ok=True, detail=""), Check(name="b", ok=False, detail="")
    assert Report(checks=(good,)).ok
    assert not Report(checks=(good, bad)).ok


def test_a_report_without_checks_proves_nothing() -> None:
    assert not Report(checks=()).ok


def test_a_flood_of_findings_is_counted_not_shown() -> None:
    findings = Findings("records")
    for number in range(SHOWN + 5):
        findings.add(str(number))
    check = findings.check("good")
    assert (check.ok, len(check.findings)) == (False, SHOWN)
    assert check.detail == f"{SHOWN + 5} findings, the first {SHOWN} are shown"


def test_nothing_found_is_told_in_the_good_words() -> None:
    assert Findings("records").check("all well") == Check(name="records", ok=True, detail="all well")


def test_text_from_the_log_cannot_move_the_terminal() -> None:
    assert named("a\x1b[2J\u202eb\nc") == "a�[2J�b�c"
    assert len(named("x" * 1000)) == 120
    assert named(None) == "None"


def test_a_summary_names_findings_open_intents_and_notes() -> None:
    check = Check(name="runs", ok=False, detail="1 finding", findings=("step 2 is missing",))
    open_ = tuple(f"r/{n}/1/intent" for n in range(SHOWN + 1))
    report = Report(checks=(check,), origin="o", size=3, open_intents=open_, boundaries=("a gap",))
    lines = report.summary.split("\n")
    assert lines[0].startswith("NOT verified: 3 records of o")
    assert lines[1:3] == ["  BAD runs: 1 finding", "      step 2 is missing"]
    assert lines[-2:] == ["  open: 1 more", "  note: a gap"]


def test_counts_agree_with_their_nouns() -> None:
    assert (counted(1, "run"), counted(2, "run"), counted(0, "person", "people")) == ("1 run", "2 runs", "0 people")
