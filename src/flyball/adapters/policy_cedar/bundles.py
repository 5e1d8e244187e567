"""The canonical form of a checked policy set, and the way back from it.

The bytes hold the policies in Cedar's JSON form under our ids, the generated schema, the layer, the name and what is in
shadow; keys are sorted, so neither the order of files nor of policies shows. Ids, cures, reasons and fingerprints are
always derived from these bytes, never believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from flyball.adapters.policy_cedar.shape import Policy, duplicates, shaped
from flyball.core.policy import LAYERS, Bundle, Finding, Layer, PolicyError

FORMAT: Final = 1
MAX_CONTENT: Final = 16 * 1_048_576
# Cedar's own reader stops at 128; what is deeper was not written by us.
MAX_DEPTH: Final = 120


def bundle_of(
    layer: Layer, name: str, policies: Sequence[Policy], schema: Mapping[str, Any], shadow: frozenset[str]
) -> Bundle:
    """The bundle of policies of good shape."""
    whole = {
        "flyball": FORMAT, "engine": "cedar", "layer": layer, "name": name, "schema": schema, "shadow": sorted(shadow),
        "policies": {p.id: p.est for p in policies},
    }  # fmt: skip
    content = orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)
    members = sorted(policies, key=lambda p: p.id)
    return Bundle(
        layer=layer, name=name, digest=hashlib.sha256(content).hexdigest(), content=content,
        ids=tuple(p.id for p in members), cures={p.id: p.cure for p in members if p.cure is not None},
        reasons={p.id: p.annotations["reason"] or "" for p in members if "reason" in p.annotations},
        shadow=shadow, fingerprints={p.id: p.fingerprint for p in members},
    )  # fmt: skip


def opened(bundle: Bundle) -> tuple[Bundle, list[Policy], Mapping[str, Any]]:
    """The bundle as its content has it, its policies and its schema; raises PolicyError where they do not agree."""
    if hashlib.sha256(bundle.content).hexdigest() != bundle.digest:
        raise _refused(bundle, "its content is not what its digest says")
    whole = _parsed(bundle)
    policies, found = [], []
    for name, est in whole["policies"].items():
        policy = shaped(est, f"bundle {bundle.digest[:8]}", whole["layer"])
        if isinstance(policy, Policy) and policy.id == name:
            policies.append(policy)
        else:
            found += policy if isinstance(policy, list) else [Finding(where=name, what="its id is another one")]
    found += duplicates(policies)
    if found:
        raise PolicyError(found)
    derived = bundle_of(whole["layer"], whole["name"], policies, whole["schema"], frozenset(whole["shadow"]))
    # A log keeps digest and content alone: then there is nothing to compare.
    if bundle.ids and derived != bundle:
        raise _refused(bundle, "its ids, cures or fingerprints are not those of its content")
    return derived, policies, whole["schema"]


def _parsed(bundle: Bundle) -> dict[str, Any]:
    if len(bundle.content) > MAX_CONTENT:
        raise _refused(bundle, "it is too large")
    try:
        whole = orjson.loads(bundle.content)
    except orjson.JSONDecodeError as bad:
        raise _refused(bundle, f"its content is not JSON: {bad}") from bad
    if not isinstance(whole, dict) or whole.get("flyball") != FORMAT or whole.get("engine") != "cedar":
        raise _refused(bundle, "its content is not a Cedar bundle of this version")
    if whole["layer"] not in LAYERS or any(_depth(est) > MAX_DEPTH for est in whole["policies"].values()):
        raise _refused(bundle, "its layer is unknown or a policy is nested too deeply")
    return whole


def _depth(value: Any) -> int:
    deepest, stack = 0, [(value, 1)]
    while stack and deepest <= MAX_DEPTH:
        node, depth = stack.pop()
        deepest = max(deepest, depth)
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        stack.extend((child, depth + 1) for child in inner)
    return deepest


def _refused(bundle: Bundle, what: str) -> PolicyError:
    return PolicyError([Finding(where=f"bundle {bundle.digest[:8]}", what=what)])
