"""Cedar's own integration tests, through the function that every evaluation of the adapter goes through."""

from __future__ import annotations

import json
from pathlib import Path

import cedarpy
import pytest

from flyball.adapters.policy_cedar.child import check
from flyball.adapters.policy_cedar.evaluate import evaluate
from flyball.adapters.policy_cedar.shape import Policy
from flyball.adapters.policy_cedar.slices import policy_set
from flyball.core.policy import Uid
from tests import vectors

SUITE = "cedar-integration-tests"


@pytest.mark.parametrize("file", vectors.files(SUITE, "tests"))
def test_decisions_reasons_and_validation_are_those_of_cedar(file: Path) -> None:
    case = vectors.read(file)
    root = vectors.path(SUITE)
    text, schema = (root / case["policies"]).read_text(), (root / case["schema"]).read_text()
    checked = check({"vector.cedar": text}, schema)
    assert (not checked.faults) == case["shouldValidate"], checked.faults
    policies = policy_set([Policy(id=f"policy{n}", est=p.est, where="") for n, p in enumerate(checked.policies)])
    handle = cedarpy.Schema.from_str(schema)
    entities = cedarpy.Entities.from_json_str((root / case["entities"]).read_text(), handle)
    for asked in case["requests"]:
        who = tuple(Uid(asked[k]["type"], asked[k]["id"]) for k in ("principal", "action", "resource"))
        answer = evaluate(policies, handle, entities, who, json.dumps(asked["context"]))
        assert answer.allow == (asked["decision"] == "allow"), asked["description"]
        assert sorted(answer.determining) == sorted(asked["reason"]), asked["description"]
        assert bool(answer.errors) == bool(asked["errors"]), asked["description"]
