"""What a project is configured with: frozen records, one per table of `flyball.toml`, whatever file they came from.

Rules:

* A configuration is complete and absolute: paths are absolute text, durations integers in milliseconds, money exact.
* A secret is a `Handle` to where it stands; its text is in no configuration.
* What needs the world (files, environment, the home directory) is done by whoever makes the records.

>>> parse_duration("48h")
172800000
>>> str(parse_handle("env:SMTP_PASSWORD"))
'env:SMTP_PASSWORD'
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

import msgspec

from flyball.core.budget import MICRO
from flyball.core.canonical import MAX_BYTES
from flyball.core.errors import FlyballError
from flyball.core.guard import GuardConfig
from flyball.core.limits import Limits
from flyball.core.model import ModelConfig
from flyball.core.route import Route, Rule
from flyball.core.signals import Scale
from flyball.core.telemetry import TelemetryConfig

FORMAT: Final = 1
STARTER: Final = "flyball/starter"
NamedPolicy: TypeAlias = Literal["flyball/starter"]
HOUR_MS: Final = 3_600_000
# Fields of a model's record that no file sets.
_NOT_WRITTEN: Final = frozenset({"name", "temperature_milli", "connect", "limit_field", "price"})
OPEN: Final = "open_approvals"
"""The limit that is of no day: how many approvals may wait for people at once."""
LONGEST_MS: Final = 3650 * 24 * HOUR_MS

Synchronous: TypeAlias = Literal["FULL", "NORMAL"]
OnExpiry: TypeAlias = Literal["deny", "escalate"]
WaitingRuns: TypeAlias = Literal["move-if-equal", "pin", "ask"]

_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": HOUR_MS, "d": 24 * HOUR_MS}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,11})(ms|s|m|h|d)")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


class Handle(msgspec.Struct, frozen=True):
    """Where a secret stands: an environment variable or an absolute file. Its text is read when it is used."""

    source: Literal["env", "file"]
    name: str

    def __str__(self) -> str:
        return f"{self.source}:{self.name}"


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """The name, the modules whose values make the project, and its policies: a directory or a named bundle."""

    name: str
    modules: tuple[str, ...] = ()
    policies: str | None = None
    policy: str | None = STARTER


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """The database file; `synchronous` NORMAL is a declared relaxation of durability."""

    path: str
    synchronous: Synchronous = "FULL"


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """The file that holds the log key and what it last signed, outside project and database."""

    file: str


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """Where the root key is; it wraps tenant keys, which wrap subject keys."""

    root: Handle


class LimitSet(msgspec.Struct, frozen=True, kw_only=True):
    """The most that one run, one agent in a run, one step with all its attempts and (per day) one tenant may use,
    unless something asks for less. `each_agent` is per day over all runs of a tenant, and so are `agents` by name: the
    stricter of the two counts. For a run see also `core.caps.of_run`."""

    run: Limits = Limits()
    agent: Limits = Limits()
    step: Limits = Limits()
    tenant: Limits = Limits()
    each_agent: Limits = Limits()
    agents: Mapping[str, Limits] = {}


class Approvals(msgspec.Struct, frozen=True, kw_only=True):
    """How long an ask stands, and what follows: never allow."""

    expires_ms: int = 48 * HOUR_MS
    on_expiry: OnExpiry = "deny"


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of waiting runs when the release changes."""

    waiting: WaitingRuns = "move-if-equal"


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a secret: the person whose it is (`user:NAME`), who approves nothing that uses it."""

    owner: str


class TenantConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant's resources are opened with; its secrets stand before those of the project, with their owners."""

    settings: Mapping[str, Any] = {}
    secrets: Mapping[str, Handle] = {}
    credentials: Mapping[str, Credential] = {}


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """`file`: prices laid over those of the package; `digest`: that of the table that must come of it, where pinned."""

    file: str | None = None
    digest: str | None = None


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens the sources of one agent may take together (see `core.context`)."""

    tokens: int = 16_000


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """How many turns of one session may wait for those before them; 0: none, a second one is refused."""

    queue: int = 16


class EmbeddingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """An embedding model: texts of memories are sent to it. `floor`: the cosine that unrelated texts have; `key` names
    where a key for it is, never the key."""

    model: str
    base_url: str = "https://api.openai.com/v1"
    key: str = ""
    floor: float = 0.25


class MemorySet(msgspec.Struct, frozen=True, kw_only=True):
    """How many memories, and bytes of them, a tenant and each principal in it may keep; whether what a run did is
    remembered when it has come to its end, and for how long."""

    tenant_items: int = 100_000
    tenant_bytes: int = 50_000_000
    principal_items: int = 10_000
    principal_bytes: int = 5_000_000
    episodes: bool = False
    episode_ttl_ms: int = 90 * 24 * HOUR_MS
    embedding: EmbeddingConfig | None = None


class Artifacts(msgspec.Struct, frozen=True, kw_only=True):
    """The most bytes of one file, of all files that one run keeps, and of all that a tenant keeps."""

    file_bytes: int = 10_000_000
    run_bytes: int = 50_000_000
    tenant_bytes: int = 1_000_000_000


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """The most bytes of one set of arguments."""

    max_bytes: int = MAX_BYTES


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a project is opened with.

    `directory` is the project's own, absolute; `env` the overlay that was chosen; `people` the groups of each person
    where a directory of people is kept (then an ask that nobody in it can approve is a deny), else None.
    """

    directory: str
    project: Project
    journal: Journal
    signer: Signer
    keys: Keys
    env: str | None = None
    models: Mapping[str, ModelConfig] = {}
    limits: LimitSet = LimitSet()
    approvals: Approvals = Approvals()
    release: Release = Release()
    tenants: Mapping[str, TenantConfig] = {}
    secrets: Mapping[str, Handle] = {}
    credentials: Mapping[str, Credential] = {}
    prices: Prices = Prices()
    platform_policies: str | None = None
    people: Mapping[str, tuple[str, ...]] | None = None
    input: Input = Input()
    context: Context = Context()
    memory: MemorySet = MemorySet()
    guards: Mapping[str, GuardConfig] = {}
    telemetry: Mapping[str, TelemetryConfig] = {}
    routes: Mapping[str, Route] = {}
    signals: Mapping[str, Scale] = {}
    sessions: Sessions = Sessions()
    artifacts: Artifacts = Artifacts()

    def owners(self, tenant: str, credentials: Iterable[str]) -> tuple[str, ...]:
        """Whose these credentials are in a tenant, each person once, in order."""
        own = self.tenants.get(tenant, TenantConfig())
        found: set[str] = set()
        for name in credentials:
            # A secret of the tenant's own is not the one that the project's owner has.
            known = own.credentials.get(name) or (None if name in own.secrets else self.credentials.get(name))
            if known is not None:
                found.add(known.owner)
        return tuple(sorted(found))

    @classmethod
    def bare(cls, name: str, directory: str, *, home: str, env: str | None = None) -> Config:
        """The configuration where there is no file: starter policy, journal in `.flyball/`, keys under `home`.

        `directory` and `home` are absolute. Raises FlyballError `config_value` for a name that is none.
        """
        check_name("project.name", name)
        return cls(
            directory=directory, env=env, project=Project(name=name),
            journal=Journal(path=default_journal(name, directory)),
            signer=Signer(file=default_signer(name, directory, home)),
            keys=Keys(root=default_root(default_signer(name, directory, home))),
        )  # fmt: skip


def default_journal(name: str, directory: str) -> str:
    """The journal's file where none is named."""
    return f"{directory.rstrip('/')}/.flyball/{name}.db"


def default_signer(name: str, directory: str, home: str) -> str:
    """The signer's file where none is named: outside the project, one for each directory."""
    place = hashlib.sha256(directory.encode(errors="surrogateescape")).hexdigest()[:12]
    return f"{home.rstrip('/')}/.local/state/flyball/{name}-{place}.signer"


def default_root(signer: str) -> Handle:
    """The root key's file where none is named: beside the signer."""
    return Handle("file", f"{signer.removesuffix('.signer')}.root")


def check_name(where: str, name: str) -> None:
    """Refuses what cannot be the name of a project, tenant or key: it becomes part of file names and log origins."""
    if not _NAME.fullmatch(name):
        why = "a name begins with a letter or digit and has letters, digits, '.', '_' and '-', at most 64"
        raise FlyballError("config_value", f"{where}: {name!r} is no name", why, "Choose another name.")


def parse_duration(text: str) -> int:
    """`"500ms"`, `"30s"`, `"15m"`, `"48h"`, `"7d"` in milliseconds; raises ValueError for anything else.

    Ten years are the most, so that adding one to a time always gives a time.
    """
    match = _DURATION.fullmatch(text)
    milliseconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < milliseconds <= LONGEST_MS:
        raise ValueError(f"{text!r} is no duration")
    return milliseconds


def duration_text(milliseconds: int) -> str:
    """A duration as it is written, in the largest unit up to hours that holds it exactly."""
    for unit in ("h", "m", "s"):
        if milliseconds and milliseconds % _UNITS[unit] == 0:
            return f"{milliseconds // _UNITS[unit]}{unit}"
    return f"{milliseconds}ms"


def parse_handle(text: str) -> Handle:
    """`"env:NAME"` or `"file:PATH"`; raises ValueError, which never repeats the text, for a literal."""
    source, _, name = text.partition(":")
    if source == "env" and _VARIABLE.fullmatch(name):
        return Handle("env", name)
    if source == "file" and name.strip() and "\0" not in name:
        return Handle("file", name)
    raise ValueError("neither env:NAME nor file:PATH")


def dotted(parts: tuple[str, ...]) -> str:
    """A key path as TOML writes it: parts that are no bare keys are quoted."""
    return ".".join(p if _BARE_KEY.fullmatch(p) else json.dumps(p, ensure_ascii=False) for p in parts)


def described(config: Config) -> dict[str, Any]:
    """Every value in force under its dotted key, as it would be written in the file; what is not set is absent."""
    return {dotted(path): value for path, value in described_paths(config)}


def described_paths(config: Config) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The same with key paths: (("journal", "path"), "/srv/desk.db") and so on, in the order of the tables."""
    plain: dict[str, Any] = {
        "flyball": FORMAT,
        "project": _plain(config.project),
        "journal": _plain(config.journal),
        "signer": _plain(config.signer),
        "models": {name: _model(model) for name, model in config.models.items()},
        "routes": {name: _route(route) for name, route in config.routes.items()},
        "keys": _plain(config.keys),
        "limits": {
            "run": _plain(config.limits.run),
            "agent": _plain(config.limits.agent) | _by_day(config.limits.each_agent),
            "step": _plain(config.limits.step),
            "tenant": _by_day(config.limits.tenant),
            "agents": {name: _by_day(limits) for name, limits in config.limits.agents.items()},
        },
        "approvals": _plain(config.approvals),
        "release": _plain(config.release),
        "tenants": {name: _plain(tenant) for name, tenant in config.tenants.items()},
        "secrets": _written(config.secrets),
        "credentials": _written(config.credentials),
        "prices": _plain(config.prices),
        "platform": {"policies": config.platform_policies} if config.platform_policies else {},
        "directory": {} if config.people is None else {"people": _written(config.people)},
        "context": _plain(config.context),
        "sessions": _plain(config.sessions),
        "memory": _plain(config.memory),
        "artifacts": _plain(config.artifacts),
        "input": _plain(config.input),
        "guards": {name: _named(guard) for name, guard in config.guards.items()},
        "telemetry": {name: _named(exporter) for name, exporter in config.telemetry.items()},
        "signals": {name: _plain(scale) for name, scale in config.signals.items()},
    }
    yield from _leaves((), plain)


def _by_day(limits: Limits) -> dict[str, Any]:
    return {name if name == OPEN else f"{name}_per_day": value for name, value in _plain(limits).items()}


def _model(model: ModelConfig) -> dict[str, Any]:
    return _none_left({key: value for key, value in _plain(model).items() if key not in _NOT_WRITTEN})


def _route(route: Route) -> dict[str, Any]:
    plain = {key: value for key, value in _plain(route).items() if key not in ("name", "rules")}
    return {**_none_left(plain), "rules": {name: _rule(rule) for name, rule in route.rules.items()}}


def _rule(rule: Rule) -> dict[str, Any]:
    plain = _none_left({key: value for key, value in _plain(rule).items() if value != 0})
    if rule.max_usd is not None:
        plain["max_usd"] = str(Decimal(rule.max_usd) / MICRO)
    return plain


def _none_left(plain: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in plain.items() if value != "0ms"}


def _named(one: GuardConfig | TelemetryConfig) -> dict[str, Any]:
    return {key: value for key, value in _plain(one).items() if key != "name"}


def _plain(record: msgspec.Struct) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if value is None or value in ((), ""):
            continue
        if name.endswith("_ms"):
            found[name.removesuffix("_ms")] = duration_text(value)
        else:
            found[name] = _written(value)
    return found


def _written(value: Any) -> Any:
    if isinstance(value, Handle):
        return str(value)
    if isinstance(value, (Credential, EmbeddingConfig)):
        return _plain(value)
    if isinstance(value, (tuple, list)):
        return [_written(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _written(one) for key, one in value.items()}
    return value if isinstance(value, (str, int, float)) else str(value)


def _leaves(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _leaves((*path, key), one)
    else:
        yield path, value
