"""Before the gate opens: a group forbid, an action-group forbid and a hierarchy forbid must each fire.

Each of the three goes silent, and lets everything through, when entities are parsed without the schema, parents are
lost or a slice drops a policy. This is asked of the same code that decides.
"""

from __future__ import annotations

from typing import Any, Final

from flyball.adapters.policy_cedar.compiled import CedarCompiled
from flyball.adapters.policy_cedar.schema import generate
from flyball.adapters.policy_cedar.shape import Policy
from flyball.core.effect import Action
from flyball.core.input_shape import input_shape
from flyball.core.policy import Answer, Bundle, Finding, Node, PolicyError, Request, Uid
from flyball.core.policy_context import policy_context

_ANY: Final = {"op": "All"}
_LOOK: Final = Action(name="canary_look", effect="read", egress=False, refs={"box": "Box"}, input_schema={
    "type": "object", "properties": {"box": {"type": "string"}}, "required": ["box"],
})  # fmt: skip
_PUSH: Final = Action(name="canary_push", effect="irreversible", refs=_LOOK.refs, input_schema=_LOOK.input_schema)
_BANNED, _TEAM, _BOX, _VAULT = Uid("Group", "banned"), Uid("Group", "team"), Uid("Box", "b"), Uid("Box", "vault")
_USER: Final = Uid("User", "canary")


def canary() -> None:
    """Raises PolicyError naming the forbid that did not fire, or the request that should have been allowed."""
    compiled = _compiled()
    asked = {
        "a request that nothing forbids": (_LOOK, _nodes(team=(), box=())),
        "group-forbid": (_LOOK, _nodes(team=(_BANNED,), box=())),
        "action-group-forbid": (_PUSH, _nodes(team=(), box=())),
        "hierarchy-forbid": (_LOOK, _nodes(team=(), box=(_VAULT,))),
    }
    for name, (action, nodes) in asked.items():
        answer = compiled.evaluate(_request(action, nodes))
        if not _as_expected(name, answer):
            what = f"the policy engine failed its start-up check: {name} gave {answer}"
            raise PolicyError([Finding(where="canary", what=what, fix="The gate stays closed; reinstall cedarpy.")])


def _as_expected(name: str, answer: Answer) -> bool:
    if not name.endswith("-forbid"):
        return answer.allow
    return not answer.allow and not answer.errors and answer.determining == (f"platform/{name}",)


def _compiled() -> CedarCompiled:
    policies = [
        _policy("permit-all", "permit"),
        _policy("group-forbid", "forbid", principal=_in(_BANNED)),
        _policy("action-group-forbid", "forbid", action=_in(Uid("Action", "irreversible"))),
        _policy("hierarchy-forbid", "forbid", resource=_in(_VAULT)),
    ]
    ids = tuple(p.id for p in policies)
    bundle = Bundle(layer="platform", name="canary", digest="", content=b"", ids=ids, cures={})
    return CedarCompiled(bundle, policies, generate([_LOOK, _PUSH], {"Box": {}}))


def _policy(name: str, effect: str, **scope: Any) -> Policy:
    est = {"effect": effect, "principal": _ANY, "action": _ANY, "resource": _ANY, "conditions": [], **scope}
    return Policy(id=name, est=est, where=name)


def _in(uid: Uid) -> dict[str, Any]:
    return {"op": "in", "entity": {"type": uid.type, "id": uid.id}}


def _nodes(*, team: tuple[Uid, ...], box: tuple[Uid, ...]) -> tuple[Node, ...]:
    attrs = {"tenant": "t", "issuer": "i", "assurance": "host", "scopes": []}
    return (
        Node(uid=_USER, attrs=attrs, parents=(_TEAM,)), Node(uid=_TEAM, parents=team), Node(uid=_BANNED),
        Node(uid=_BOX, parents=box), Node(uid=_VAULT),
    )  # fmt: skip


def _request(action: Action, nodes: tuple[Node, ...]) -> Request:
    context = policy_context(input_shape(action), {"box": "b"})
    return Request(principal=_USER, action=action.name, resource=_BOX, context=context, entities=nodes)
