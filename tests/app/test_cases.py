"""Policy cases: read strictly, decided as proposals are, compared exactly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flyball.app.cases import (
    Case,
    Setting,
    decide_case,
    faults,
    judge,
    made,
    on_disk,
    policy_cases,
    read_cases,
    setting,
)
from flyball.app.plugs import adapter
from flyball.app.project import Project, load
from flyball.core.errors import FlyballError
from flyball.core.model import ModelConfig
from flyball.core.policy import SIGNALS, Source
from flyball.core.signals import Scale
from flyball.testing.engine import cedar
from tests.app.shop import Shop

DESK = Path(__file__).resolve().parents[2] / "examples" / "proposal_desk"
CODE = '''
from typing import Annotated
from flyball.core.agent import agent
from flyball.core.call import Call
from flyball.core.entity import Entity, entity
from flyball.core.flow import flow
from flyball.core.marks import Ref
from flyball.core.tool import tool

@entity("Team", attributes={})
async def team(call, id): ...

@entity("Customer", attributes={"tier": "string", "owner": "entity:User", "friends?": "entity:User[]"})
async def customer(call, id):
    raise AssertionError("no loader is called")

@tool(effect="irreversible")
async def mail(call: Call, to: Annotated[str, Ref("Customer")], text: str, note: str | None = None) -> None:
    """Mail somebody."""

@tool(effect="read")
async def look(call: Call, n: int = 1) -> int:
    """Look."""

clerk = agent("clerk", instructions="Be kind.", role="planner", tools=[look])

@flow
async def handle(run, n: int) -> int: ...
'''
POLICY = """
@id("read") permit (principal, action in Action::"read", resource);
@id("mail") permit (principal in Group::"staff", action == Action::"mail", resource);
@id("agents") permit (principal is Agent, action == Action::"mail", resource);
@id("planners") forbid (principal in Role::"planner", action == Action::"mail", resource);
@id("gold") @require_approval("sales") forbid (principal, action == Action::"mail", resource is Customer)
when { resource.tier == "gold" } unless { context.approvals.contains("sales") };
@id("two") @require_approval("finance:2") forbid (principal, action == Action::"mail", resource is Customer)
when { resource.tier == "black" } unless { context.approvals.contains("finance:2") };
@id("not-mine") forbid (principal is User, action == Action::"mail", resource is Customer)
when { context.input.text == "mine" } unless { resource.owner == principal };
@id("team") forbid (principal, action == Action::"mail", resource in Team::"closed");
@id("secret") @modify("drop:/note")
forbid (principal, action == Action::"mail", resource) when { context.input has note };
@id("tainted") forbid (principal, action == Action::"mail", resource) when { context.run.tainted };
@id("again") forbid (principal, action == Action::"mail", resource) when { context.run.did.contains("mail") };
@id("refused") forbid (principal, action == Action::"mail", resource) when { context.run.denied.contains("look") };
@id("origin") forbid (principal, action == Action::"mail", resource) when { context.origin.text == "several" };
@id("default") forbid (principal, action == Action::"look", resource)
when { context.origin.n == "default" && context.time.hour == 3 };
@id("vendor") forbid (principal, action == Action::"model", resource is Model)
when { resource has vendor && resource.vendor == "evil" };
@id("no-handle")
forbid (principal, action == Action::"flow", resource == Flow::"handle") when { principal == User::"eve" };
@id("no-clerk")
forbid (principal, action == Action::"agent", resource == Agent::"clerk") when { principal == User::"eve" };
@id("doubted") forbid (principal, action == Action::"mail", resource)
when { context.run.signals has quality && context.run.signals.quality.lessThan(decimal("0.7")) };
@id("env") forbid (principal, action == Action::"look", resource) when { context.env == "prod" };
"""
SCALES = {"quality": Scale()}
KIM = {"id": "user:kim", "groups": ["staff"]}
PLAIN: dict[str, Any] = {
    "name": "a case", "tool": "mail", "by": KIM, "input": {"to": "C-1", "text": "hello"},
    "resource": {"tier": "blue", "owner": "kim"}, "expect": "allow",
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Shop(tmp_path_factory.mktemp("cases") / "shop", code=CODE).project


@pytest.fixture(scope="module")
def there(project: Project) -> Setting:
    config = adapter("config").bare("shop", project.directory, environ={"HOME": "/nowhere"}).config
    compiled = cedar().compile(
        Source(layer="project", name="p", files={"p.cedar": POLICY}), project.actions,
        {**project.attributes, SIGNALS: SCALES},
    )  # fmt: skip
    made_ = setting(config, project, [compiled])
    models = {"default": ModelConfig(name="default"), "evil": ModelConfig(name="evil", vendor="evil")}
    return Setting(project=project, models=models, force=made_.force, signals=SCALES)


def judged(there: Setting, **changes: Any) -> list[str]:
    table = {k: v for k, v in {**PLAIN, **changes}.items() if v is not None}
    return judge(made("c.toml:1", table), there)


EXPECTED: dict[str, dict[str, Any]] = {
    "a permit is what allows": {"because": ["mail"]},
    "nobody else": {"by": {"id": "user:eve"}, "expect": "deny", "because": []},
    "an approval is asked": {
        "resource": {"tier": "gold", "owner": "kim"},
        "expect": "require_approval",
        "groups": ["sales"],
        "because": ["gold"],
    },
    "an approval is given": {"resource": {"tier": "gold", "owner": "kim"}, "approvals": ["sales"], "because": ["gold"]},
    "one of two people is not enough": {
        "resource": {"tier": "black", "owner": "kim"},
        "approvals": ["finance"],
        "expect": "require_approval",
        "groups": ["finance:2"],
    },
    "two people": {"resource": {"tier": "black", "owner": "kim"}, "approvals": ["project/finance:2"]},
    "an attribute is an entity by its name": {"input": {"to": "C-1", "text": "mine"}},
    "and by its type": {
        "input": {"to": "C-1", "text": "mine"},
        "resource": {"tier": "x", "owner": {"type": "User", "id": "eve"}},
        "expect": "deny",
        "because": ["not-mine"],
    },
    "several entities": {"resource": {"tier": "x", "owner": "kim", "friends": ["eve", "fay"]}},
    "attributes and parents": {
        "resource": {"attrs": {"tier": "x", "owner": "kim"}, "parents": [["Team", "closed"]]},
        "expect": "deny",
        "because": ["team"],
    },
    "arguments after a modifier": {
        "input": {"to": "C-1", "text": "t", "note": "n"},
        "expect": "modify",
        "because": ["secret"],
        "arguments": {"to": "C-1", "text": "t"},
    },
    "through an agent": {"through": ["clerk"], "expect": "deny", "because": ["planners"]},
    "tainted": {"run": {"tainted": True}, "expect": "deny", "because": ["tainted"]},
    "did": {"run": {"did": ["mail"]}, "expect": "deny", "because": ["again"]},
    "denied": {"run": {"denied": ["look"]}, "expect": "deny", "because": ["refused"]},
    "a low score": {"run": {"signals": {"quality": 0.6999}}, "expect": "deny", "because": ["doubted"]},
    "a good score": {"run": {"signals": {"quality": 0.7}}},
    "origin": {"origin": {"text": "several"}, "expect": "deny", "because": ["origin"]},
    "invalid input": {"input": {"to": "C-1", "text": 5}, "expect": "deny", "because": []},
    "an action that is a tool": {"tool": None, "action": "look", "input": {}, "resource": None},
    "a default argument, at noon": {"tool": "look", "input": {}, "resource": None},
    "a flow": {"tool": None, "flow": "handle", "input": {"input": 1}, "resource": None},
    "a flow denied": {
        "tool": None,
        "flow": "handle",
        "by": {"id": "user:eve"},
        "resource": None,
        "input": {},
        "expect": "deny",
        "because": ["no-handle"],
    },
    "an agent": {"tool": None, "agent": "clerk", "resource": None, "input": {}},
    "an agent denied": {
        "tool": None,
        "agent": "clerk",
        "by": {"id": "user:eve"},
        "resource": None,
        "input": {},
        "expect": "deny",
        "because": ["no-clerk"],
    },
    "a model": {"tool": None, "model": "default", "resource": None, "input": {}},
    "a model denied": {
        "tool": None,
        "model": "evil",
        "resource": None,
        "input": {},
        "expect": "deny",
        "because": ["vendor"],
    },
    "approving": {
        "tool": None,
        "action": "approve",
        "input": {},
        "by": {"id": "user:fay", "groups": ["sales"]},
        "resource": {"group": "sales"},
    },
    "approving for others": {
        "tool": None,
        "action": "approve",
        "input": {},
        "resource": {"group": "sales"},
        "expect": "deny",
    },
    "activating": {
        "tool": None,
        "action": "activate",
        "input": {},
        "by": {"id": "user:ann", "groups": ["admin"]},
        "resource": {"layer": "project"},
    },
}


@pytest.mark.promise("api-policy-cases")
@pytest.mark.parametrize("name", EXPECTED)
def test_a_case_says_what_policy_says(there: Setting, name: str) -> None:
    assert judged(there, **EXPECTED[name]) == []


def test_time_is_a_fixed_noon_unless_the_case_says_another(there: Setting) -> None:
    (case,) = read_cases(
        "c.toml",
        '[[case]]\nname="n"\ntool="look"\nby={id="user:k"}\nexpect="deny"\nbecause=["default"]\nat=2025-05-05T03:00:00Z',
    )
    assert judge(case, there) == []


def test_the_environment_is_seen(there: Setting) -> None:
    prod = Setting(project=there.project, models=there.models, force=there.force, env="prod")
    assert judged(prod, tool="look", input={}, resource=None, expect="deny", because=["env"]) == []


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "verdict": ({"expect": "deny"}, "expected deny, got allow (permitted; mail)"),
    "groups": ({"groups": ["sales"]}, "groups: expected ('sales',), got ()"),
    "because": ({"because": ["read"]}, "because: expected ('read',), got ('mail',)"),
    "arguments": (
        {"arguments": {"to": "C-2"}},
        "arguments: expected {'to': 'C-2'}, got {'to': 'C-1', 'text': 'hello'}",
    ),
    "precondition": ({"tool": "look.requires"}, "look requires nothing"),
    "tool": ({"tool": "mall"}, "there is no tool mall. Did you mean mail?"),
    "agent": ({"through": ["clark"]}, "there is no agent clark. Did you mean clerk?"),
    "signal": ({"run": {"signals": {"qualty": 0.5}}}, "there is no signal 'qualty'"),
    "range": ({"run": {"signals": {"quality": 7}}}, "it goes from 0 to 1"),
    "model": ({"tool": None, "model": "x"}, "there is no model x. There are default, evil."),
    "origin": ({"origin": {"texd": "request"}}, "origin.texd: mail has no such argument. Did you mean text?"),
    "entity": ({"resource": None}, "mail acts on a Customer, and the case does not say what it is like"),
    "attribute": ({"resource": {"teer": "x", "owner": "kim"}, "expect": "allow"}, "got deny"),
    "an action without a name": ({"tool": None, "action": "model"}, "it needs a name"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_as_expected_is_said_with_its_place(there: Setting, name: str) -> None:
    changes, words = WRONG[name]
    found = judged(there, **changes)
    assert found and found[0].startswith("c.toml:1") and words in "\n".join(found)


REFUSED: dict[str, tuple[str, str]] = {
    "key": (
        '[[case]]\ntool="look"\nby={id="user:k"}\nexpects="allow"',
        "c.toml:1: there is no key expects in a case. Did you mean expect?",
    ),
    "strange key": (
        '[[case]]\ntool="look"\nby={id="user:k"}\nexpect="allow"\nzzz=1',
        "there is no key zzz in a case. It has name",
    ),
    "key of by": (
        '[[case]]\ntool="look"\nby={id="user:k", group=["x"]}\nexpect="allow"',
        "there is no key by.group in a case. Did you mean groups?",
    ),
    "key of run": ('[[case]]\ntool="look"\nby={id="user:k"}\nrun={dit=[]}\nexpect="allow"', "there is no key run.dit"),
    "key of resource": (
        '[[case]]\ntool="look"\nby={id="user:k"}\nresource={attrs={}, parent=[]}\nexpect="allow"',
        "there is no key resource.parent in a case. Did you mean parents?",
    ),
    "top key": ('[[cases]]\ntool="look"', "c.toml: there is no key cases in a case. Did you mean case?"),
    "single brackets": ('[case]\ntool="look"', "a case is written [[case]]"),
    "no subject": (
        '[[case]]\nby={id="user:k"}\nexpect="allow"',
        "a case has exactly one of tool, action, agent, handoff, flow, model, stream, source: it has none",
    ),
    "two subjects": ('[[case]]\ntool="a"\nflow="b"\nby={id="user:k"}\nexpect="allow"', "it has tool, flow"),
    "no by": ('[[case]]\ntool="look"\nexpect="allow"', "by is missing"),
    "by no table": ('[[case]]\ntool="look"\nby="kim"\nexpect="allow"', "by is missing"),
    "run no table": ('[[case]]\ntool="look"\nby={id="user:k"}\nrun=1\nexpect="allow"', "run is no table"),
    "expect": ('[[case]]\ntool="look"\nby={id="user:k"}\nexpect="alow"', "expect = 'alow'. one of allow"),
    "type": ('[[case]]\ntool="look"\nby={id="user:k"}\nexpect="allow"\ngroups="x"', "Expected `array"),
    "principal": ('[[case]]\ntool="look"\nby={id="kim"}\nexpect="allow"', "'kim' is no principal"),
    "resource": ('[[case]]\ntool="look"\nby={id="user:k"}\nresource=1\nexpect="allow"', "Expected `object"),
    "toml": ("[[case", "c.toml is not TOML"),
}


@pytest.mark.promise("api-policy-cases")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_case_is_refused(name: str) -> None:
    text, words = REFUSED[name]
    with pytest.raises(FlyballError) as refused:
        read_cases("c.toml", text)
    assert refused.value.code == "policy_case_invalid" and words in str(refused.value)


def test_the_place_of_a_case_is_its_own_line() -> None:
    one = '[[case]]\nname="{}"\ntool="look"\nby={{id="user:k"}}\nexpect="allow"\n\n'
    cases = read_cases("c.toml", one.format("a") + "# between\n" + one.format("b"))
    assert [(c.where, c.name) for c in cases] == [("c.toml:1", "a"), ("c.toml:8", "b")]


# collected by pytest, and the project desk's own ----------------------------------------------------------------------
@pytest.mark.parametrize("case", policy_cases(DESK), ids=str)
def test_the_cases_of_the_desk_pass(case: Any) -> None:
    case.check()


def test_a_failing_case_fails_its_test() -> None:
    case = policy_cases(DESK)[0]
    other = type(case)(type(case.case)(**{**_fields(case.case), "expect": "deny"}), case.setting)
    with pytest.raises(AssertionError, match=r"desk.test.toml:3 more than ten per cent .* expected deny"):
        other.check()


def _fields(case: Case) -> Mapping[str, Any]:
    return {name: getattr(case, name) for name in case.__struct_fields__}


def test_every_policy_of_the_desk_decides_some_case() -> None:
    config = adapter("config").load(DESK).config
    there = on_disk(config, load(config.project.name, Path(config.directory), config.project.modules))
    decisions = [decide_case(c.case, there) for c in policy_cases(DESK)]
    decided = {name.removeprefix("project/") for d in decisions for name in d.determining}
    of_tools = {i for i in there.force.layers[0].bundle.ids if not i.startswith("flyball.")} - {"remember"}
    assert of_tools == decided  # a case proposes a tool: what may be remembered, the desk's own tests see


def test_a_case_and_its_verdict_are_compared_in_any_order(there: Setting) -> None:
    case = made("c.toml:1", PLAIN)
    assert faults(case, decide_case(case, there)) == []
