"""Recorded decisions made again, explained and compared: at their edges."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from flyball.app.cases import as_entities
from flyball.app.verdicts import refilled
from flyball.core.errors import FlyballError
from flyball.core.policy import Uid
from tests.app.shop import ANN, CODE, KIM, POLICY, Shop, started

SCHEMA: dict[str, Any] = {
    "properties": {
        "to": {"type": "string"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "tags": {"type": "array"},
        "who": {
            "anyOf": [{"type": "object", "properties": {"name": {}, "ssn": {"default": "-"}}, "required": ["name"]},
                      {"type": "null"}],
        },
    },
    "required": ["to"],
}  # fmt: skip
ENTITY = (
    CODE.replace("@tool(effect=\"irreversible\"", '''
from typing import Annotated
from flyball.core.entity import Entity, entity
from flyball.core.marks import Ref

@entity("Account", attributes={"owner": "entity:User", "friends": "entity:User[]", "limit": "integer"})
async def account(call: Call, id: str) -> Entity:
    if id == "A-0":
        raise LookupError(id)
    from flyball.core.policy import Uid
    attrs = {"owner": Uid("User", "kim"), "friends": [Uid("User", "fay")], "limit": 30}
    return Entity(attrs, parents=[("Tenant", "acme")])

@tool(effect="irreversible"''')
    .replace("cents: Critical[int])", 'cents: Critical[int], account: Annotated[str, Ref("Account")] = "A-1")')
)  # fmt: skip
OWNED = (
    POLICY
    + """
@id("own") forbid (principal is User, action == Action::"pay", resource is Account)
unless { resource.owner == principal && context.input.cents <= resource.limit };
"""
)


@pytest.mark.promise("gate-defaults-before-policy")
@pytest.mark.parametrize(
    ("changed", "recorded", "filled"),
    [
        ({"to": "x"}, {"to": "x", "note": None}, {"to": "x", "note": None}),
        ({"to": "x"}, {"tags": [1]}, {"to": "x", "note": None, "tags": [1]}),
        ({"to": "x", "who": {"name": "n"}}, {}, {"to": "x", "note": None, "who": {"name": "n", "ssn": "-"}}),
        ({"to": "x", "who": None}, {}, {"to": "x", "note": None, "who": None}),
        ({}, {"to": "x"}, "to is required"),
        ({"to": "x", "who": {}}, {}, "name is required"),
    ],
)
def test_what_a_modifier_took_has_its_default_again(changed: Any, recorded: Any, filled: Any) -> None:
    assert refilled(SCHEMA, recorded, changed) == filled


def test_attributes_that_are_entities_are_entities_again() -> None:
    declared = {"owner": "entity:User", "friends?": "entity:User[]", "tier": "string"}
    data = {"owner": {"type": "User", "id": "kim"}, "friends": [{"type": "User", "id": "fay"}], "tier": "x"}
    made = as_entities(data, declared)
    assert made == {"owner": Uid("User", "kim"), "friends": [Uid("User", "fay")], "tier": "x"}
    assert as_entities(made, declared) == made


@pytest.mark.promise("gate-decision-inputs-recorded")
async def test_business_objects_are_decided_on_again_as_they_were(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop", code=ENTITY, policy=OWNED)
    async with shop.open() as app:
        ran = [await app.act("pay", {"cents": c, "account": a}, by=KIM, call_id=f"{c}{a}")
               for c, a in ((4, "A-1"), (15, "A-2"), (40, "A-3"), (4, "A-0"))]  # fmt: skip
        assert [type(r).__name__ for r in ran] == ["Executed", "Executed", "Blocked", "Blocked"]
        for row in app.runs.list():
            told = await app.releases.replay(row.id)
            assert told.ok and told.verdicts == 1, [str(d) for d in told.differences]


@pytest.mark.promise("gate-decision-inputs-recorded")
async def test_how_old_a_business_object_was_is_in_the_record(tmp_path: Path) -> None:
    aged = ENTITY.replace('("Tenant", "acme")]', '("Tenant", "acme")], as_of=datetime.fromtimestamp(5, UTC)')
    shop = Shop(tmp_path / "shop", code=aged + "\nfrom datetime import UTC, datetime\n", policy=OWNED)
    async with shop.open() as app:
        await app.act("pay", {"cents": 4}, by=KIM, call_id="1")
        (row,) = app.runs.list()
        (intent,) = app.runs.records(row.id, kind="intent")
        (account,) = [e for e in intent.private["request"]["entities"] if e["uid"]["type"] == "Account"]
        assert account["as_of"] == 5_000_000 and account["attrs"]["limit"] == 30


async def test_what_never_reached_a_policy_is_explained_by_its_problem(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    async with shop.open() as app:
        await app.act("pay", {"cents": "x"}, by=KIM, call_id="1")
        (told,) = app.policies.explain("pay")
        assert told.outcome == "deny" and told.recorded == "deny: invalid_proposal" and told.errors
        with pytest.raises(FlyballError, match="nothing was decided about 'note'"):
            app.policies.explain("note")


async def test_what_was_erased_is_not_compared(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    async with shop.open() as app:
        await started(app, 4)
        shop.write(policy=POLICY + '@id("none") forbid (principal, action, resource);\n')
        (changes,) = app.policies.compare()
        assert changes.decided == 3 and len(changes.tighter) == 3
        app.rooms.ports.keyring.erase("local", app.rooms.record.person("local", KIM.id))  # type: ignore[attr-defined]
        (changes,) = app.policies.compare(last=5)
        assert changes.decided == 0


async def test_policies_that_are_gone_from_disk_leave_what_is_in_force(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    async with shop.open() as app:
        await started(app, 4)
        shutil.rmtree(shop.folder / "policies")
        assert app.policies.notices() == [] and [b["layer"] for b in app.policies.bundles()] == ["project"]
        with pytest.raises(FlyballError):
            await app.policies.activate(by=ANN)
