"""What every adapter of `ports.policy` does: call each check of `CHECKS` with a `Subject` of yours.

A check raises AssertionError where the adapter does something else; with pytest, parametrize one test over `CHECKS`.
The policies are in the engine's own language, so the subject brings them; `LOOK` and `PUSH` are the actions they are
about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from flyball.core.effect import Action
from flyball.core.identity import Principal
from flyball.core.input_shape import input_shape
from flyball.core.policy import Answer, Layer, Node, PolicyError, Request, Source, Uid
from flyball.core.policy_context import policy_context
from flyball.core.policy_subject import principal_nodes
from flyball.ports.policy import Compiled, PolicyEngine

_INPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "amount": {"type": "integer"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    },
    "required": ["amount"],
}
LOOK: Final = Action(name="look", effect="read", egress=False, input_schema=_INPUT)
PUSH: Final = Action(name="push", effect="irreversible", input_schema=_INPUT)


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """An engine and policy texts in its language.

    `policies` permits both actions and plainly forbids ("no-huge") to push an amount over 1000. `asking` is one more
    text: pushing over 100 needs an approval of finance ("ask-finance"). `shadowed`: pushing is forbidden ("not-yet")
    in shadow. `overflowing`: a forbid ("overflows") that cannot be evaluated for an amount over 1. `broken`: texts
    that must be refused, each with a word that a finding says.
    """

    make: Callable[[], PolicyEngine]
    policies: str
    asking: str
    shadowed: str
    overflowing: str
    broken: Mapping[str, str]


def allows_what_is_permitted(subject: Subject) -> None:
    """A permit that matches allows, and is named as `layer/id`."""
    answer = _compiled(subject, subject.policies).evaluate(_request(LOOK, 1))
    assert answer.allow and not answer.errors and all(d.startswith("project/") for d in answer.determining)


def denies_by_default(subject: Subject) -> None:
    """Without a permit nothing is allowed, and nobody is to blame."""
    answer = _compiled(subject, "").evaluate(_request(LOOK, 1))
    assert answer == Answer(allow=False)


def a_forbid_wins(subject: Subject) -> None:
    """A plain forbid denies whatever permits there are."""
    compiled = _compiled(subject, subject.policies)
    answer = compiled.evaluate(_request(PUSH, 1001))
    assert not answer.allow and answer.determining == ("project/no-huge",)
    assert compiled.evaluate_plain(_request(PUSH, 1001)) == answer


def an_approval_lifts_its_own_forbid(subject: Subject) -> None:
    """A curable forbid is not plain, is listed with its cure, and is lifted by the approval it names and no other."""
    compiled = _compiled(subject, subject.policies, subject.asking)
    asked = _request(PUSH, 101)
    assert compiled.evaluate(asked).determining == ("project/ask-finance",)
    assert compiled.evaluate_plain(asked).allow
    assert compiled.bundle.cures["ask-finance"].approval == "finance"
    assert not compiled.evaluate(msgspec.structs.replace(asked, approvals=frozenset({"legal"}))).allow
    assert compiled.evaluate(msgspec.structs.replace(asked, approvals=frozenset({"finance"}))).allow


def an_approval_lifts_no_plain_forbid(subject: Subject) -> None:
    """Whoever approves: what is plainly forbidden stays so."""
    compiled = _compiled(subject, subject.policies, subject.asking)
    asked = msgspec.structs.replace(_request(PUSH, 1001), approvals=frozenset({"finance"}))
    assert not compiled.evaluate(asked).allow


def shadow_is_shown_and_not_enforced(subject: Subject) -> None:
    """A shadowed policy changes only what `evaluate_shadow` says."""
    compiled = _compiled(subject, subject.policies, subject.shadowed)
    assert compiled.evaluate(_request(PUSH, 1)).allow and compiled.evaluate_plain(_request(PUSH, 1)).allow
    assert compiled.evaluate_shadow(_request(PUSH, 1)).determining == ("project/not-yet",)
    assert compiled.bundle.shadow == {"not-yet"} and compiled.bundle.enforced


def a_policy_that_fails_denies(subject: Subject) -> None:
    """An error is in the answer and refuses, whatever the rest allows."""
    answer = _compiled(subject, subject.policies, subject.overflowing).evaluate(_request(PUSH, 2))
    assert not answer.allow and answer.errors


def what_cannot_be_evaluated_denies(subject: Subject) -> None:
    """An unknown action, a missing entity, a context of another shape: an answer with errors, never a raise."""
    compiled, good = _compiled(subject, subject.policies), _request(LOOK, 1)
    odd = [
        msgspec.structs.replace(good, action="unheard-of"),
        msgspec.structs.replace(good, entities=good.entities[:1]),
        msgspec.structs.replace(good, resource=Uid("Tool", "another")),
        msgspec.structs.replace(good, context={}),
        msgspec.structs.replace(good, context={**good.context, "input": {"amount": "1"}}),
        msgspec.structs.replace(good, context={**good.context, "undeclared": True}),
    ]
    for request in odd:
        for asked in (compiled.evaluate, compiled.evaluate_plain, compiled.evaluate_shadow):
            answer = asked(request)
            assert not answer.allow and answer.errors, request


def the_digest_does_not_depend_on_files(subject: Subject) -> None:
    """Policies in another order or in other files are the same bundle; a changed one is another."""
    engine = subject.make()
    one = _source({"a": subject.policies, "b": subject.asking})
    other = _source({"a": subject.asking, "b": subject.policies})
    digests = {engine.compile(s, (LOOK, PUSH), {}).bundle.digest for s in (one, other)}
    assert len(digests) == 1
    assert engine.compile(_source({"a": subject.policies}), (PUSH, LOOK), {}).bundle.digest not in digests


def a_bundle_can_be_opened_again(subject: Subject) -> None:
    """From digest and content alone the same bundle comes back, and answers alike."""
    compiled = _compiled(subject, subject.policies, subject.asking)
    kept = compiled.bundle
    bare = msgspec.structs.replace(kept, ids=(), cures={}, reasons={}, shadow=frozenset(), fingerprints={})
    for bundle in (kept, bare):
        again = subject.make().load(bundle)
        assert again.bundle == kept
        assert again.evaluate(_request(PUSH, 101)) == compiled.evaluate(_request(PUSH, 101))


def a_changed_bundle_is_refused(subject: Subject) -> None:
    """Content that is not its digest, and cures that are not in the content, are refused."""
    bundle = _compiled(subject, subject.policies, subject.asking).bundle
    changed = msgspec.structs.replace(bundle, content=bundle.content.replace(b"1000", b"9000"))
    assert changed.content != bundle.content, "the number 1000 of `policies` must show in the content"
    for wrong in (changed, msgspec.structs.replace(bundle, cures={})):
        assert _findings(lambda wrong=wrong: subject.make().load(wrong))  # type: ignore[misc]


def every_fault_is_found_and_placed(subject: Subject) -> None:
    """A text that is refused says where and what."""
    for text, word in subject.broken.items():
        found = _findings(lambda text=text: _compiled(subject, subject.policies, text))  # type: ignore[misc]
        assert any(word in str(f) for f in found), (text, word, found)
        assert all("extra" in str(f) for f in found), found


def fingerprints_change_with_their_policy_alone(subject: Subject) -> None:
    """An unrelated policy leaves a fingerprint as it is."""
    one = _compiled(subject, subject.policies).bundle.fingerprints
    more = _compiled(subject, subject.policies, subject.asking).bundle.fingerprints
    assert {name: more[name] for name in one} == one


def the_schema_names_every_action(subject: Subject) -> None:
    """What people read shows each action and its arguments."""
    text = subject.make().schema((LOOK, PUSH), {})
    assert all(word in text for word in ("look", "push", "amount", "note"))


def a_draft_is_taken(subject: Subject) -> None:
    """What the engine drafts for an action compiles beside the rest, and comes with a case."""
    policy, case = subject.make().draft(PUSH)
    assert _compiled(subject, subject.policies, policy).bundle.ids and "[[case]]" in case and "push" in case


CHECKS: Final[tuple[Callable[[Subject], None], ...]] = (
    allows_what_is_permitted,
    denies_by_default,
    a_forbid_wins,
    an_approval_lifts_its_own_forbid,
    an_approval_lifts_no_plain_forbid,
    shadow_is_shown_and_not_enforced,
    a_policy_that_fails_denies,
    what_cannot_be_evaluated_denies,
    the_digest_does_not_depend_on_files,
    a_bundle_can_be_opened_again,
    a_changed_bundle_is_refused,
    every_fault_is_found_and_placed,
    fingerprints_change_with_their_policy_alone,
    the_schema_names_every_action,
    a_draft_is_taken,
)


def _source(files: Mapping[str, str], layer: Layer = "project") -> Source:
    return Source(layer=layer, name="conformance", files=files)


def _compiled(subject: Subject, policies: str, extra: str = "") -> Compiled:
    files = {name: text for name, text in (("policies", policies), ("extra", extra)) if text}
    return subject.make().compile(_source(files), (LOOK, PUSH), {})


def _request(action: Action, amount: int) -> Request:
    nodes = principal_nodes(Principal("user:kim"))
    tool = Node(uid=Uid("Tool", action.name))
    return Request(
        principal=nodes[0].uid, action=action.name, resource=tool.uid, entities=(*nodes, tool),
        context=policy_context(input_shape(action), {"amount": amount, "note": None}),
    )  # fmt: skip


def _findings(attempt: Callable[[], object]) -> tuple[object, ...]:
    try:
        attempt()
    except PolicyError as refused:
        return refused.findings
    raise AssertionError("it was not refused")
