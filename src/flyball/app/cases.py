"""Policy cases: `*.test.toml` beside the policies, each a decision with its expected verdict.

Rules:

* A bundle with a failing case is not activated, neither at opening nor later.
* Cases run through the same validation and the same decision (`enforce.decide_again` on `Inputs`) as proposals do. What
  a run would have found out is said outright; no loader, tool or model is called, and no journal is needed.
* `[[case]]` takes `name`; one of `tool`, `action`, `agent`, `handoff`, `flow`, `model`, `source`; `by {id, groups,
  tenant, ...}`; `through` (agents, outermost first); `input`; `origin {argument = ...}`; `resource` (attributes, or
  `{attrs, parents}`); `run {did, denied, tainted, signals}`; `guard {NAME = {score, verdict}}`; `approvals`; `at` (a
  date and time); and what is expected: `expect`, `groups`, `because`, `arguments`. Another key is refused with the
  nearest one.
* `because` is exact: the forbids that ask for approvals, that modify, or that deny; the permits of what is allowed.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from flyball.app.plugs import adapter
from flyball.app.project import Project, load
from flyball.app.wiring import Rooms, seen_by_policy, sources, text_of
from flyball.core.approval import approvals, cure_name, shown_group
from flyball.core.config import Config
from flyball.core.decision import Decision, Revalidate
from flyball.core.effect import REQUIRES, STREAM, Action
from flyball.core.errors import FlyballError
from flyball.core.guard import Signal
from flyball.core.identity import Authority, Principal
from flyball.core.input_shape import RESERVED, action_word
from flyball.core.model import ModelConfig
from flyball.core.origin import DEFAULT, UNKNOWN, Origins
from flyball.core.policy import LAYERS, Node, Source, Uid
from flyball.core.policy_context import Facts
from flyball.core.policy_subject import chain, merged, resource_uid
from flyball.core.proposal import Inputs, Performer, Place, Proposal
from flyball.core.result import Blocked
from flyball.core.signals import Scale, amount
from flyball.ports.policy import Compiled
from flyball.runtime.enforce import InForce, decide_again, layers_of, revalidated, shape_of
from flyball.runtime.flow.bind import precondition, tool_performer
from flyball.runtime.validate import Validate

ENDING: Final = ".test.toml"
OUTCOMES: Final = ("allow", "modify", "require_approval", "deny")
# Policies may read the time, and a case must not depend on when it is run: a Wednesday at noon.
NOON: Final = datetime(2025, 1, 1, 12, tzinfo=UTC)
SUBJECTS: Final = ("tool", "action", "agent", "handoff", "flow", "model", "stream", "source")
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "": ("name", *SUBJECTS, "by", "through", "input", "origin", "resource", "run", "guard", "approvals", "at", "expect",
         "groups", "because", "arguments"),
    "by": ("id", "groups", "tenant", "issuer", "scopes", "on_behalf_of", "assurance"),
    "run": ("did", "denied", "tainted", "signals"),
}  # fmt: skip
_HEAD: Final = re.compile(r"^\s*\[\[\s*case\s*\]\]", re.M)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One case as it is written. `where` is `file:line`."""

    where: str
    name: str
    kind: str
    what: str
    by: Principal
    expect: str
    through: tuple[str, ...] = ()
    input: Mapping[str, Any] = {}
    origin: Mapping[str, str] = {}
    resource: Mapping[str, Any] | None = None
    parents: tuple[tuple[str, str], ...] = ()
    did: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    tainted: bool = False
    guard: Mapping[str, Signal] = {}
    signals: Mapping[str, float] = {}
    approvals: tuple[str, ...] = ()
    at: datetime = NOON
    groups: tuple[str, ...] | None = None
    because: tuple[str, ...] | None = None
    arguments: Mapping[str, Any] | None = None


class Asked(NamedTuple):
    """What policy is asked: the action, its validated arguments, everything else that the decision reads; `again`
    validates what a modifier changed."""

    action: Action
    arguments: Mapping[str, Any]
    inputs: Inputs
    again: Revalidate

    def decide(self, force: InForce) -> Decision:
        """The verdict of these bundles."""
        return decide_again(self.action, self.arguments, self.inputs, force, again=self.again)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What cases are decided in: the project's values, the bundles that decide, the name of the environment."""

    project: Project
    models: Mapping[str, ModelConfig]
    force: InForce
    env: str = ""
    max_bytes: int = 1_048_576
    signals: Mapping[str, Scale] = field(default_factory=dict)


# reading --------------------------------------------------------------------------------------------------------------
def read_cases(file: str, text: str) -> list[Case]:
    """The cases of a file; raises FlyballError `policy_case_invalid` naming file, line and the nearest known key."""
    try:
        whole = tomllib.loads(text)
    except tomllib.TOMLDecodeError as bad:
        raise FlyballError("policy_case_invalid", f"{file} is not TOML", str(bad)) from bad
    _known(file, "", whole, ("case",))
    lines = [text.count("\n", 0, found.end()) + 1 for found in _HEAD.finditer(text)]
    tables = whole.get("case", [])
    if not isinstance(tables, list):
        raise FlyballError("policy_case_invalid", f"{file}: a case is written [[case]]", "with double brackets")
    found = []
    for number, table in enumerate(tables):
        where = f"{file}:{lines[number]}" if number < len(lines) else file
        found.append(made(where, table))
    return found


def made(where: str, table: Mapping[str, Any]) -> Case:
    """A case from its table; raises FlyballError `policy_case_invalid`."""
    _known(where, "", table, _KEYS[""])
    subjects = [key for key in SUBJECTS if key in table]
    if len(subjects) != 1:
        raise _bad(where, f"a case has exactly one of {', '.join(SUBJECTS)}", f"it has {', '.join(subjects) or 'none'}")
    by, run = table.get("by"), table.get("run", {})
    if not isinstance(by, Mapping) or "id" not in by:
        raise _bad(where, "by is missing", fix='by = { id = "user:kim", groups = ["staff"] }')
    _known(where, "by.", by, _KEYS["by"])
    _known(where, "run.", run, _KEYS["run"])
    resource, parents = _resource(where, table.get("resource"))
    if table.get("expect") not in OUTCOMES:
        raise _bad(where, f"expect = {table.get('expect')!r}", fix=f"one of {', '.join(OUTCOMES)}")
    rest = {key: table[key] for key in _KEYS[""] if key in table and key not in (*SUBJECTS, "by", "run", "resource")}
    try:
        return msgspec.convert({
            **rest, **run, "name": rest.get("name", where), "where": where, "kind": subjects[0],
            "what": table[subjects[0]], "by": by, "resource": resource, "parents": parents,
        }, Case)  # fmt: skip
    except (msgspec.ValidationError, FlyballError) as bad:
        raise _bad(where, str(bad)) from bad


def _resource(where: str, table: Any) -> tuple[Any, Sequence[Any]]:
    if not isinstance(table, Mapping) or not isinstance(table.get("attrs", {}), Mapping):
        return table, ()
    if "attrs" not in table and "parents" not in table:
        return table, ()
    _known(where, "resource.", table, ("attrs", "parents"))
    return table.get("attrs", {}), table.get("parents", [])


def _known(where: str, at: str, table: Any, keys: Sequence[str]) -> None:
    if not isinstance(table, Mapping):
        raise _bad(where, f"{at.rstrip('.')} is no table")
    for key in table.keys() - set(keys):
        near = difflib.get_close_matches(key, keys, 1)
        fix = f"Did you mean {near[0]}?" if near else f"It has {', '.join(keys)}."
        raise _bad(where, f"there is no key {at}{key} in a case", fix=fix)


def _bad(where: str, what: str, why: str = "", fix: str = "") -> FlyballError:
    return FlyballError("policy_case_invalid", f"{where}: {what}", why, fix)


# deciding -------------------------------------------------------------------------------------------------------------
def decide_case(case: Case, s: Setting) -> Decision:
    """The verdict on a case; raises FlyballError where it names something that the project has not."""
    asked = asked_of(case, s)
    if isinstance(asked, Blocked):
        return Decision(outcome="deny", arguments=case.input, reason=asked.reason, errors=(str(asked),))
    return asked.decide(s.force)


def asked_of(case: Case, s: Setting) -> Asked | Blocked:
    """What a case asks policy; or why its arguments are none."""
    parsed = Validate(s.max_bytes, kept=lambda *_: True).parse(_proposal(case, s))
    if isinstance(parsed, Blocked):
        return parsed
    again = partial(revalidated, parsed.performer.signature)
    return Asked(parsed.action, parsed.arguments, _inputs(case, parsed, s), again)


def _proposal(case: Case, s: Setting) -> Proposal:
    action, performer, uid = _subject(case, s)
    authority = Authority(principal=case.by)
    for name in case.through:
        agent = _named(case, "agent", name, s.project.agents)
        authority = authority.through(name, agent.role)
    place = Place(tenant=case.by.tenant, run="", path="", fence=None, release="", subjects=(), subject="")
    return Proposal(
        place=place, action=action, performer=performer, authority=authority, arguments=case.input, origins=Origins(),
        resource=uid,
    )  # fmt: skip


def _subject(case: Case, s: Setting) -> tuple[Action, Performer, Uid | None]:
    kind, what = case.kind, case.what
    plain = Performer(perform=lambda *_: None)
    if kind == "tool" or (kind == "action" and what not in RESERVED):
        tool = _named(case, "tool", what.removesuffix(REQUIRES), s.project.tools)
        asked = precondition(tool) if what.endswith(REQUIRES) else None
        if what.endswith(REQUIRES) and asked is None:
            raise _bad(case.where, f"{tool.name} requires nothing", f"there is no {what}")
        return (tool.action, tool_performer(tool), None) if asked is None else (asked.action, asked.performer, None)
    if kind in ("agent", "flow"):
        group = s.project.agents if kind == "agent" else s.project.flows
        return _named(case, kind, what, group).action, plain, Uid(kind.capitalize(), what)
    if kind == "handoff":
        return _named(case, "agent", what, s.project.agents).handoff, plain, Uid("Agent", what)
    if kind in ("model", "stream"):
        _named(case, "model", what, s.models)
        action = STREAM if kind == "stream" else Action(name="model", kind="model", effect="read", egress=True)
        return action, plain, Uid("Model", what)
    if kind == "source":
        source = _named(case, "source", what, s.project.sources)
        return source.action, plain, Uid("Source", what)
    if what not in ("approve", "activate"):
        raise _bad(case.where, f'action = "{what}"', "it needs a name", f'{what} = "..."')
    words: Mapping[str, Action] = {
        "approve": Action(name="approve", kind="approve", effect="reversible", egress=False),
        "activate": Action(name="activate", kind="policy", effect="reversible", egress=False),
    }
    return words[what], plain, Uid("Approval" if what == "approve" else "Bundle", "case")


def _named(case: Case, kind: str, name: str, group: Mapping[str, Any]) -> Any:
    if name in group:
        return group[name]
    near = difflib.get_close_matches(name, group, 1)
    fix = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(group)) or 'none'}."
    raise _bad(case.where, f"there is no {kind} {name}", fix=fix)


def _inputs(case: Case, p: Proposal, s: Setting) -> Inputs:
    _arguments_exist(case, p)
    uid = p.resource or resource_uid(p.action, shape_of(p.action), p.arguments)
    links = chain(p.authority)
    labels = {n: case.origin.get(n, UNKNOWN if n in case.input else DEFAULT) for n in p.arguments}
    parents = tuple(Uid(kind, name) for kind, name in case.parents)
    own = _entity(case, uid, p, s)
    # Whose approval it is must be there, so that membership in the group is seen.
    groups_ = [v for v in own.values() if uid.type == "Approval" and isinstance(v, Uid)]
    nodes = (Node(uid=uid, attrs=own, parents=parents), *(Node(uid=each) for each in (*parents, *groups_)))
    return Inputs(
        action=action_word(p.action), links=tuple(link[0].uid for link in links), resource=uid,
        entities=merged(*links, nodes), origins=labels, approvals=_given(case),
        facts=Facts(
            origin=labels, did=tuple(sorted(case.did)), denied=tuple(sorted(case.denied)), tainted=case.tainted,
            env=s.env, now=int(case.at.timestamp() * 1000), guard=case.guard,
            signals=_signals(case, s),
        ),
    )  # fmt: skip


def _signals(case: Case, s: Setting) -> Mapping[str, int]:
    try:
        return {name: amount(s.signals, name, value) for name, value in case.signals.items()}
    except FlyballError as bad:
        raise _bad(case.where, bad.what, bad.why, bad.fix) from bad


def _arguments_exist(case: Case, p: Proposal) -> None:
    strange = [name for name in case.origin if name not in p.arguments]
    if strange:
        near = difflib.get_close_matches(strange[0], list(p.arguments), 1)
        raise _bad(case.where, f"origin.{strange[0]}: {p.action.name} has no such argument",
                   fix=f"Did you mean {near[0]}?" if near else "")  # fmt: skip


def _entity(case: Case, uid: Uid, p: Proposal, s: Setting) -> Mapping[str, Any]:
    """The resource's attributes, with the names of other entities as entities."""
    if uid.type == "Model":
        config = s.models[uid.id]
        own: Mapping[str, Any] = {"region": config.region, "vendor": config.vendor or config.adapter}
    else:
        own = case.resource or {}
    if p.action.refs and case.resource is None and s.project.attributes.get(uid.type):
        kind = uid.type
        raise _bad(case.where, f"{p.action.name} acts on a {kind}, and the case does not say what it is like",
                   fix=f"resource = {{ ... }} with {', '.join(s.project.attributes[kind])}")  # fmt: skip
    return as_entities(own, s.project.attributes.get(uid.type, _BUILT_IN.get(uid.type, {})))


_BUILT_IN: Final[Mapping[str, Mapping[str, object]]] = {"Approval": {"group": "entity:Group"}}


def as_entities(attrs: Mapping[str, Any], declared: Mapping[str, object]) -> dict[str, Any]:
    """Attributes with names (or `{type, id}` tables) as uids where an entity is declared."""
    found: dict[str, Any] = {}
    for name, value in attrs.items():
        kind = str(declared.get(name, declared.get(f"{name}?", "")))
        if not kind.startswith("entity:"):
            found[name] = value
            continue
        word = kind.removeprefix("entity:").removesuffix("[]")
        uids = [_uid(word, one) for one in (value if isinstance(value, (list, tuple)) else [value])]
        found[name] = uids if kind.endswith("[]") else uids[0]
    return found


def _uid(kind: str, value: Any) -> Uid:
    if isinstance(value, Mapping):
        return Uid(str(value.get("type")), str(value.get("id")))
    return value if isinstance(value, Uid) else Uid(kind, str(value))


def _given(case: Case) -> dict[str, tuple[str, ...]]:
    # As groups are shown: the project's own by their bare name, others with their layer.
    return approvals([n if n.partition("/")[0] in LAYERS and "/" in n else f"project/{n}" for n in case.approvals])


# judging --------------------------------------------------------------------------------------------------------------
def because(decision: Decision) -> tuple[str, ...]:
    """The policies that a verdict rests on, as people read them: without the project's own layer."""
    if decision.outcome == "require_approval":
        names: Iterable[str] = decision.because
    elif decision.outcome == "deny":
        names = decision.determining
    else:
        cures = {f"{c.layer}/{c.policy}" for c in (*decision.cures, *decision.modifiers)}
        names = cures or decision.determining
    return tuple(sorted(name.removeprefix("project/") for name in names))


def groups(decision: Decision) -> tuple[str, ...]:
    """The groups that are asked, as people read them."""
    return tuple(sorted({shown_group(cure_name(cure)) for cure in decision.missing}))


def faults(case: Case, decision: Decision) -> list[str]:
    """What of the verdict is not as the case expects; empty where all is."""
    found = []
    if decision.outcome != case.expect:
        why = "; ".join((decision.reason, *decision.errors, *because(decision)))
        found.append(f"expected {case.expect}, got {decision.outcome} ({why})")
    wanted: list[tuple[str, Any, Any]] = [
        ("groups", _sorted(case.groups), groups(decision)),
        ("because", _sorted(case.because), because(decision)),
        ("arguments", _full(case.arguments), _full(decision.arguments)),
    ]
    found += [f"{name}: expected {want}, got {got}" for name, want, got in wanted if want is not None and want != got]
    return found


def _sorted(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(sorted(names))


def _full(arguments: Mapping[str, Any] | None) -> dict[str, Any] | None:
    # TOML cannot say null, so absent and null are the same here.
    return None if arguments is None else {n: v for n, v in arguments.items() if v is not None}


def judge(case: Case, s: Setting) -> list[str]:
    """Why a case fails, in words that begin with its place; empty where it passes."""
    try:
        found = faults(case, decide_case(case, s))
    except FlyballError as bad:
        return [str(bad)] if str(bad).startswith(case.where) else [f"{case.where} {case.name}: {bad}"]
    return [f"{case.where} {case.name}: {fault}" for fault in found]


# where they stand -----------------------------------------------------------------------------------------------------
def cases_beside(config: Config, source: Source) -> list[Case]:
    """The cases in the folder of a source."""
    folder = config.platform_policies if source.layer == "platform" else config.project.policies
    if folder is None:
        return []
    paths = sorted(Path(folder).glob(f"*{ENDING}"))
    return [case for path in paths for case in read_cases(_shown(path, config), text_of(path))]


def _shown(path: Path, config: Config) -> str:
    try:
        return str(path.relative_to(config.directory))
    except ValueError:
        return path.name


def failing(rooms: Rooms, compiled: Compiled, source: Source, others: Sequence[Compiled] = ()) -> list[str]:
    """Why cases of this source fail under its bundle and those of the other layers; empty where all pass."""
    force = [compiled, *(o for o in others if o.bundle.layer != compiled.bundle.layer)]
    there = setting(rooms.config, rooms.project, force)
    return [fault for case in cases_beside(rooms.config, source) for fault in judge(case, there)]


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """A case for a test runner: `check()` raises AssertionError with what differs."""

    case: Case
    setting: Setting

    def __str__(self) -> str:
        return self.case.name

    def check(self) -> None:
        """Decides the case and compares."""
        found = judge(self.case, self.setting)
        if found:
            raise AssertionError("\n".join(found))


def policy_cases(path: str | Path = "flyball.toml", *, env: str | None = None) -> list[PolicyCase]:
    """Every case of a project (its `flyball.toml` or directory), for `pytest.mark.parametrize("case", ..., ids=str)`.

    The policies are compiled as they stand on disk; raises PolicyError where they are refused.
    """
    config = adapter("config").load(path, env).config
    project = load(config.project.name, Path(config.directory), config.project.modules)
    there = on_disk(config, project)
    return [PolicyCase(case, there) for source in sources(config) for case in cases_beside(config, source)]


def on_disk(config: Config, project: Project) -> Setting:
    """The bundles of all layers as they stand on disk; raises PolicyError where they are refused."""
    engine = adapter("policy.cedar")()
    seen = seen_by_policy(config, project)
    return setting(config, project, [engine.compile(s, project.actions, seen) for s in sources(config)])


def setting(config: Config, project: Project, force: Sequence[Compiled]) -> Setting:
    """What cases are decided in under these bundles."""
    return Setting(
        project=project, models=config.models, force=layers_of(force), env=config.env or "",
        max_bytes=config.input.max_bytes, signals=config.signals,
    )  # fmt: skip
