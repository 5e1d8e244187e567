"""Three accidents that happen where each part is sound and nobody has the whole: docs/explanation/accidents.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flyball import Completed, Stopped
from flyball.testing import Say, propose
from tests.accidents.desk import CARD, NOTE, POLICY, answer, answer_surely, desk, find, send

STRANGER = "refunds@procure-fast.example"
FINDS = propose(find, name="Acme")
LEAKS = propose(send, to="ann@acme.example", body=f"Your card {CARD} was charged")
DONE = Say("I have answered.")


async def test_an_output_guard_fires_but_the_action_had_already_happened() -> None:
    """A stack: the framework calls the tool as soon as the model asks, a guard reads the final answer. The guard is
    right, and the card number is with somebody else. It can only withhold the answer.

    Here: there is no way to the tool but the path, and policy reads the arguments before T1. The proposal is denied,
    the outbox stays empty, and the log holds the decision and no intent.
    """
    sent: list[str] = []

    def stack() -> str:
        sent.append(LEAKS.arguments["body"])  # the loop of a framework: a proposal is a call
        guarded = " ".join(sent)
        return "withheld" if "4111" in guarded else guarded

    assert stack() == "withheld" and len(sent) == 1  # the guard fired; the mail is gone
    sent.clear()

    lab = desk(sent, FINDS, LEAKS, DONE)
    assert isinstance(await lab.run(answer, "What was I charged?", key="k"), Completed)
    of_send = [r for r in lab.records("k") if r.facts.get("action") == "send"]
    assert sent == [] and lab.effects == [] and [r.kind for r in of_send] == ["decision"]
    assert of_send[0].facts["policies"] == ["project/no-card-numbers-leave"]


async def test_what_the_guard_withheld_is_not_reported_as_done() -> None:
    """A stack: the model says that it has answered, and the run is green. Here the flow promised the effect
    (`ensures`), no committed outcome shows it, and the run does not complete."""
    lab = desk([], FINDS, LEAKS, DONE)
    ended = await lab.run(answer_surely, "What was I charged?", key="k")
    assert isinstance(ended, Stopped) and ended.reason == "claim_unproven"


async def test_a_violated_policy_can_be_explained_afterwards_from_the_record(tmp_path: Path) -> None:
    """A stack: months later somebody asks why a mail was stopped. The guard logged `blocked: rule 7`; rule 7 was
    rewritten since, what it had looked at is in no log, and nobody can say whether the old rule said what it should.

    Here: the decision names its bundle by digest and holds everything that policy read. With other policies in force
    it is derived again, with the text of then; an outsider has the text in the export, below the signed root.
    """
    lab = desk([], FINDS, LEAKS, DONE)
    await lab.run(answer, "What was I charged?", key="k")
    await lab.activate('@id("read") permit (principal, action, resource);')

    app = await lab._bench.ready()
    (run,) = app.runs.list()
    (why,) = [one for one in app.policies.explain(run.id) if one.action == "send"]
    (rule,) = why.policies
    assert (why.outcome, why.arguments["body"]) == ("deny", LEAKS.arguments["body"])
    assert (rule.id, rule.reason) == ("project/no-card-numbers-leave", "card_number") and 'like "*4111*"' in rule.text
    assert (await app.releases.replay(run.id)).ok and (await lab.verify()).ok

    (decision,) = [r for r in lab.records("k") if r.kind == "decision"]
    exported = await app.ledger.export(tmp_path / "evidence", disclose=(run.id,))
    bundle = (exported / "policies" / f"{decision.facts['bundles'][0]}.json").read_bytes()
    assert b"no-card-numbers-leave" in bundle


async def test_a_context_that_no_test_covered_reaches_production(tmp_path: Path) -> None:
    """A stack: the tests send to the customers that the tests have. In production a note holds an address, the model
    uses it, and nothing was ever asked about an address that comes from a note: it is sent.

    Here: what no policy permits is denied, and where a value came from is part of the context. The uncovered context
    is denied, recorded whole, and measured against every later bundle before that one is in force.
    """
    sent: list[str] = []
    assert desk(sent).decide(send, to="ann@acme.example", body="hi", origins={"to": "find.contact"}).outcome == "allow"

    (tmp_path / "desk.cedar").write_text(POLICY)
    lab = desk(sent, FINDS, propose(send, to=STRANGER, body="Confirmed."), DONE, policies=tmp_path)
    await lab.run(answer, "Confirm the order of Acme", key="k")
    (denied,) = [r for r in lab.records("k") if r.kind == "decision"]
    assert STRANGER in NOTE and sent == [] and denied.facts["policies"] == ["project/only-to-known-addresses"]
    assert origin_in(denied) == "unknown"

    (tmp_path / "desk.cedar").write_text(POLICY.replace('context.origin.to == "request"', "context.run.tainted"))
    (changes,) = (await lab._bench.ready()).policies.compare(last=100)  # on disk, and not in force
    assert changes.looser == (f"send in {denied.id}: deny -> allow",)
    covered = desk(sent).decide(send, to=STRANGER, body="hi", origins={"to": origin_in(denied)})
    assert (covered.outcome, covered.because) == ("deny", ("only-to-known-addresses",))


def origin_in(record: Any) -> str:
    return str(record.private["request"]["origins"]["to"])
