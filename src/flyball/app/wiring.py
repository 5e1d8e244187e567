"""Wiring: Config -> ports -> runtime."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from flyball.app.bodies import Bodies
from flyball.app.custody import root_of, signer_of
from flyball.app.may import May
from flyball.app.plugs import adapter
from flyball.app.project import Project
from flyball.core.budget import Limit, of_agent, tightest
from flyball.core.call import Secret, Tenant, Use
from flyball.core.caps import of_run
from flyball.core.config import STARTER, Config, EmbeddingConfig
from flyball.core.entity import Entity
from flyball.core.errors import FlyballError
from flyball.core.guard import GuardConfig
from flyball.core.limits import counted
from flyball.core.model import ModelConfig, nearest
from flyball.core.policy import GUARDS, SIGNALS, Finding, Layer, PolicyError, Source
from flyball.core.prices import PriceTable
from flyball.core.proposal import Performer, Proposal
from flyball.core.signing import check_log
from flyball.core.useful import Caps, Usage
from flyball.ports.clock import Clock, Entropy
from flyball.ports.embedding import Embedding
from flyball.ports.exporter import Cursors, Exporter
from flyball.ports.guard import Guard
from flyball.ports.journal import Journal
from flyball.ports.keyring import Keyring
from flyball.ports.memory import MemoryIndex
from flyball.ports.model import ModelPort
from flyball.ports.policy import PolicyEngine
from flyball.ports.sandbox import Sandbox
from flyball.ports.signer import Signer
from flyball.runtime.agent import Thinking
from flyball.runtime.approve.lift import Approve, Asking
from flyball.runtime.approve.people import People
from flyball.runtime.artifact import Artifacts
from flyball.runtime.broker.broker import MAX_RESULT, Broker
from flyball.runtime.broker.hide import Hidden
from flyball.runtime.broker.reach import Resources
from flyball.runtime.broker.shown import Showing
from flyball.runtime.context import Contexts
from flyball.runtime.enforce import Enforce, layers_of
from flyball.runtime.flow.drive import Driver
from flyball.runtime.flow.session import Sessions
from flyball.runtime.flow.starting import Starts
from flyball.runtime.flow.turn import Turn
from flyball.runtime.guard import Guards, Placed
from flyball.runtime.identify import Identify
from flyball.runtime.ledger import Ledger
from flyball.runtime.memory.episodes import Episodes
from flyball.runtime.memory.memories import Memories
from flyball.runtime.memory.projection import Projection
from flyball.runtime.model import Models
from flyball.runtime.path import Stations, govern
from flyball.runtime.policies import Policies
from flyball.runtime.record import Recorder
from flyball.runtime.recover import Recover
from flyball.runtime.reserve import Reserving
from flyball.runtime.route import Routing
from flyball.runtime.session import Earlier
from flyball.runtime.validate import Validate
from flyball.runtime.watch import Watching


def _memory_twin() -> MemoryIndex:
    return adapter("memory.twin")()  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The sockets of one deployment, plugged."""

    journal: Journal
    keyring: Keyring
    signer: Signer
    engine: PolicyEngine
    clock: Clock
    entropy: Entropy
    models: Mapping[str, ModelPort]
    prices: PriceTable
    sandbox: Sandbox | None = None
    guards: Mapping[str, Guard] = field(default_factory=dict)
    exporters: Mapping[str, tuple[Exporter, Cursors]] = field(default_factory=dict)
    memory: MemoryIndex = field(default_factory=_memory_twin)
    embedding: Embedding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """The rooms of one deployment, wired."""

    config: Config
    project: Project
    ports: Ports
    record: Recorder
    stations: Stations
    enforce: Enforce
    people: People
    driver: Driver
    ledger: Ledger
    policies: Policies
    models: Models
    thinking: Thinking
    resources: Resources
    watching: Watching
    memories: Memories
    episodes: Episodes
    artifacts: Artifacts
    guards: Guards | None = None


@asynccontextmanager
async def plugged(config: Config) -> AsyncIterator[Ports]:
    """The ports that a configuration names. Opens files, and gives them back at the end and where one of them fails."""
    journal_path, signer_path = Path(config.journal.path), Path(config.signer.file)
    for folder in (journal_path.parent, signer_path.parent):
        folder.mkdir(parents=True, exist_ok=True)
    clock, entropy = adapter("clock")(), adapter("entropy")()
    async with AsyncExitStack() as stack:
        durable = config.journal.synchronous.lower()
        journal = adapter("journal.sqlite").open(journal_path, synchronous=durable, entropy=entropy)
        stack.push_async_callback(journal.close)
        # Keys are made for a journal without a log only: a lost key beside a log is an error, never silently another
        # key, and a first start that was killed before it had its keys is simply begun again.
        new = not journal.tenants()
        signer = signer_of(config, create=new)
        if new:  # a database that was deleted after it was signed is not begun anew, nor are keys made for it
            for origin, log in signer.logs().items():
                check_log("", origin, log)
        root = root_of(config, create=new)
        keyring = adapter("keyring.sqlite")(journal_path.with_suffix(".keys"), root, create=new)
        stack.callback(keyring.close)
        yield Ports(
            journal=journal, clock=clock, entropy=entropy, keyring=keyring, signer=signer,
            engine=adapter("policy.cedar")(), models={n: _model(m) for n, m in config.models.items()},
            prices=adapter("prices")(config.prices.file, config.prices.digest), sandbox=adapter("sandbox.process")(),
            guards=guards_of(config), exporters=exporters_of(config, inside=True),
            memory=adapter("memory.sqlite")(
                journal_path.with_suffix(".memory"), vectors=config.memory.embedding is not None
            ),
            embedding=_embedding(config.memory.embedding),
        )  # fmt: skip


def _model(config: ModelConfig) -> ModelPort:
    if config.adapter == "scripted":
        return adapter("model.scripted")(adapter("model.script")(config.script))  # type: ignore[no-any-return]
    key = adapter("model.key")(config.key) if config.key else None
    return adapter(f"model.{config.adapter}")(config, key)  # type: ignore[no-any-return]


def _embedding(config: EmbeddingConfig | None) -> Embedding | None:
    if config is None:
        return None
    key = adapter("model.key")(config.key) if config.key else None
    return adapter("embedding.openai")(config, key)  # type: ignore[no-any-return]


def guards_of(config: Config, but: Container[str] = ()) -> dict[str, Guard]:
    """The guards of a configuration, opened, `but` for these."""
    return {name: _guard(guard) for name, guard in config.guards.items() if name not in but}


def _guard(config: GuardConfig) -> Guard:
    key = adapter("model.key")(config.key) if config.key else None
    return adapter(f"guard.{config.adapter}")(config, key)  # type: ignore[no-any-return]


def exporters_of(config: Config, *, inside: bool = False) -> dict[str, tuple[Exporter, Cursors]]:
    """The receivers of telemetry that a configuration names, each with its cursors beside the journal; `inside`: those
    alone that the owner of the journal exports to."""
    read = adapter("model.key")
    found: dict[str, tuple[Exporter, Cursors]] = {}
    for name, one in config.telemetry.items():
        if one.inside or not inside:
            headers = {header: read(handle) for header, handle in one.headers.items()}
            made = adapter("telemetry.otlp")(one, config.project.name, read(one.key) if one.key else None, headers)
            found[name] = made, cursors_of(config, name)
    return found


def cursors_of(config: Config, name: str) -> Cursors:
    """How far one exporter has come: beside the journal."""
    folder = Path(config.journal.path).with_suffix(".telemetry")
    return adapter("telemetry.cursors")(folder / name)  # type: ignore[no-any-return]


def seen_by_policy(config: Config, project: Project) -> dict[str, Mapping[str, object]]:
    """What policies may speak of besides actions: the attributes of entities, guards and signals by name."""
    named = {GUARDS: config.guards, SIGNALS: config.signals}
    return {**project.attributes, **{word: dict.fromkeys(names, "") for word, names in named.items() if names}}


def _placed(config: Config, ports: Ports) -> Guards | None:
    placed = [Placed(config=guard, guard=ports.guards[name]) for name, guard in config.guards.items()]
    return Guards(placed) if placed else None


def wire(config: Config, project: Project, ports: Ports, uses: Sequence[Use[Any]] = ()) -> Rooms:
    """The rooms over these ports. Nothing runs yet."""
    _check_agents(config, project)
    record = Recorder(ports.journal, ports.keyring, ports.clock, ports.entropy)
    hidden, artifacts = Hidden(), Artifacts(record, config.artifacts)
    tenants = _tenants(config, hidden)
    resources = Resources(tenants, uses)
    watching = Watching()
    record.hints = watching.hints
    # A result may be as large as arguments may be: a model's reply holds what it proposes.
    most = max(MAX_RESULT, config.input.max_bytes)
    guards = _placed(config, ports)
    screen = guards.result if guards is not None else None
    showing = Showing(watching.tell, hidden, guards.scans if guards is not None else lambda _: ())
    broker = Broker(
        ports.clock, resources, tenants, watching.say, most, hidden, ports.sandbox, screen, showing.performing,
        artifacts.shelf,
    )  # fmt: skip
    asking = Asking(
        expires_ms=config.approvals.expires_ms, on_expiry=config.approvals.on_expiry,
        directory=config.people is not None, owners=config.owners,
    )  # fmt: skip
    approve = Approve(record, asking, record.block)
    enforce = Enforce(
        ports.journal, ports.clock, _entities(project, broker), approve.given, environment=config.env or ""
    )
    stations = Stations(
        identify=Identify(ports.journal), validate=Validate(config.input.max_bytes, kept=artifacts.known),
        enforce=enforce, approve=approve, reserve=Reserving(ports.clock), record=record, broker=broker,
        recover=Recover(record, broker, ports.entropy), route=Routing(enforce.first, broker.rests),
        guard=guards,
    )  # fmt: skip
    models = Models(config.models, ports.models, ports.prices, ports.clock, config.routes)
    episodes = _episodes(config, project)
    memories = Memories(record, Projection(record, ports.memory, ports.embedding), _caps(config))
    contexts = Contexts(ports.clock, config.context.tokens, Earlier(record), memories)
    thinking = Thinking(models.prepare, models.place, contexts, config.input.max_bytes)
    bodies = Bodies(project, thinking, memories, episodes)
    ledger = Ledger(record, ports.signer, config.project.name)

    turn = Turn(
        record, partial(govern, stations), bodies, bodies.unproven, bodies.trusted, run_limits(config),
        scales=config.signals,
    )  # fmt: skip
    driver = Driver(Starts(record, Sessions(record, config.sessions.queue)), turn, ledger.soon)
    people = People(record, May(enforce), driver.wake)
    policies = Policies(
        record, ports.engine, project.actions, seen_by_policy(config, project),
        lambda tenant, force: enforce.activate(tenant, layers_of(force)), driver.wake,
    )  # fmt: skip
    enforce.reload, record.woken, record.isolation = policies.install, driver.wake, broker.isolation
    return Rooms(
        config=config, project=project, ports=ports, record=record, stations=stations, enforce=enforce, people=people,
        driver=driver, ledger=ledger, policies=policies, models=models, thinking=thinking, resources=resources,
        watching=watching, memories=memories, episodes=episodes,
        artifacts=artifacts, guards=guards,
    )  # fmt: skip


def _episodes(config: Config, project: Project) -> Episodes:
    def critical(name: str) -> frozenset[str]:
        return project.tools[name].action.critical if name in project.tools else frozenset()

    return Episodes(critical, timedelta(milliseconds=config.memory.episode_ttl_ms), on=config.memory.episodes)


def _caps(config: Config) -> Caps:
    most = config.memory
    return Caps(
        tenant=Usage(items=most.tenant_items, bytes=most.tenant_bytes),
        principal=Usage(items=most.principal_items, bytes=most.principal_bytes),
    )  # fmt: skip


def layers(config: Config) -> set[Layer]:
    """The layers that a configuration has policies of."""
    return {"platform", "project"} if config.platform_policies else {"project"}


def sources(config: Config) -> list[Source]:
    """The policy sources of a configuration: platform, then project (or the starter policy)."""
    found = []
    if config.platform_policies:
        found.append(_source("platform", "platform", Path(config.platform_policies)))
    if config.project.policies:
        found.append(_source("project", config.project.name, Path(config.project.policies)))
    elif config.project.policy in (None, STARTER):
        found.append(adapter("policy.starter")())
    else:
        raise FlyballError(
            "unknown_policy", f"there is no policy called {config.project.policy!r}",
            fix=f'policies = "DIRECTORY" with your own, or policy = "{STARTER}"',
        )  # fmt: skip
    return found


def text_of(path: Path) -> str:
    """The text of a file that a person wrote; raises FlyballError `policy_refused` where it cannot be read as such."""
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as bad:
        why, fix = f"the bytes at {bad.start} are no UTF-8", "Save it as UTF-8."
        raise FlyballError("policy_refused", f"{path} cannot be read", why, fix) from bad
    except OSError as bad:
        raise FlyballError("policy_refused", f"{path} cannot be read", bad.strerror or str(bad)) from bad


def _source(layer: Any, name: str, folder: Path) -> Source:
    files, unreadable = dict[str, str](), list[Finding]()
    for path in sorted(folder.glob("*.cedar")):
        try:
            files[path.name] = text_of(path)
        except FlyballError as bad:
            unreadable.append(Finding(where=str(path), what=bad.why, fix=bad.fix))
    if unreadable:
        raise PolicyError(unreadable)
    if not files:
        raise FlyballError("no_policies", f"there is no .cedar file in {folder}", fix="flyball policy draft TOOL")
    return Source(layer=layer, name=name, files=files)


def run_limits(config: Config) -> Mapping[str, Limit]:
    """The limits of every run, agent, step and tenant that the configuration sets; `agents/NAME` are those of an agent
    over all runs, `agents/` those of each that has none of its own."""
    limits = {name: counted(getattr(config.limits, name)) for name in ("run", "agent", "step", "tenant")}
    each = counted(config.limits.each_agent)
    limits |= {of_agent(name): tightest(each, counted(own)) for name, own in config.limits.agents.items()}
    limits |= {of_agent(""): each, "run": of_run(limits["run"])}
    return {name: limit for name, limit in limits.items() if limit != Limit()}


def _check_agents(config: Config, project: Project) -> None:
    for name in config.limits.agents:
        if name not in project.agents:
            near, there = nearest(name, project.agents), ", ".join(sorted(project.agents)) or "none"
            fix = f"Did you mean {near}?" if near else "Name its module under [project] modules in flyball.toml."
            what = f"[limits.agents.{name}]: there is no agent {name!r}"
            raise FlyballError("unknown_agent", what, f"there are: {there}", fix)


def _tenants(config: Config, hidden: Hidden) -> Callable[[str], Tenant]:
    def tenant(name: str) -> Tenant:
        own = config.tenants.get(name)
        handles = {**config.secrets, **(own.secrets if own else {})}

        def secret(wanted: str) -> Secret:
            if wanted not in handles:
                raise FlyballError("unknown_secret", f"there is no secret {wanted!r}", fix="add it under [secrets]")
            return hidden.learn(Secret(wanted, _read(str(handles[wanted]))))

        return Tenant(name, dict(own.settings) if own else {}, secret)

    return tenant


def _read(handle: str) -> str:
    source, _, name = handle.partition(":")
    if source == "env":
        if name not in os.environ:
            raise FlyballError("secret_missing", f"the environment has no {name}", fix=f"export {name}=...")
        return os.environ[name]
    return Path(name).read_text("utf-8").strip()


def _entities(project: Project, broker: Broker) -> Callable[[Proposal, str, str], Awaitable[Entity]]:
    async def load(proposal: Proposal, kind: str, name: str) -> Entity:
        entity = project.entities.get(kind)
        if entity is None:
            raise FlyballError("unknown_entity", f"no @entity loads {kind}", fix=f'@entity("{kind}") in a module')
        performer = Performer(perform=entity.function, functions=(entity.function,))
        return await broker.read(replace(proposal, performer=performer), name)  # type: ignore[no-any-return]

    return load
