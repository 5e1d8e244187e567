"""Reads `flyball.toml`: refuses what it does not know, lays the chosen overlay on top, keeps where values came from.

Rules:

* An unknown key is refused with the nearest known one, a wrong type with both types, each with its line. Overlays that
  were not chosen are checked too.
* `[env.NAME.*]` tables go over the same tables without the prefix, key by key; the last wins. A list is one value.
* Relative paths begin at the file's directory, `~` is the home directory.
* Where a secret belongs only `env:NAME` and `file:PATH` are taken; a literal is refused and never repeated.
* `FLYBALL_MODEL` replaces `models.default` whole, so that no key of one provider is sent to another.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flyball.adapters.config_toml.shape import (
    TABLES,
    At,
    Flat,
    Value,
    nearest,
    read,
    read_adapter,
    read_handle,
    read_url,
    wrong_type,
)
from flyball.adapters.config_toml.text import key_lines, parsed, text_of
from flyball.core.budget import micro_dollars
from flyball.core.config import (
    FORMAT,
    OPEN,
    Approvals,
    Artifacts,
    Config,
    Context,
    Credential,
    EmbeddingConfig,
    Handle,
    Input,
    Journal,
    Keys,
    LimitSet,
    MemorySet,
    Prices,
    Project,
    Release,
    Sessions,
    Signer,
    TenantConfig,
    check_name,
    default_journal,
    default_root,
    default_signer,
    described_paths,
    dotted,
)
from flyball.core.errors import FlyballError
from flyball.core.guard import GUARD_NAME, MOST_GUARDS, PLACES, GuardConfig
from flyball.core.limits import Limits
from flyball.core.model import ModelConfig
from flyball.core.route import Route, Rule, check_routes
from flyball.core.signals import MOST_SIGNALS, SIGNAL_NAME, Scale
from flyball.core.telemetry import TelemetryConfig

FILE_NAME: Final = "flyball.toml"
_PER_DAY: Final = "_per_day"
# Where the providers' own programs look for their keys.
_KEYS: Final = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "gemini": "GEMINI_API_KEY"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration, and for each dotted key where its value came from; `file` is None where there is none."""

    config: Config
    sources: Mapping[str, str]
    file: Path | None = None


def find_project(start: str | Path) -> Path | None:
    """The nearest `flyball.toml` in `start` or above it, or None."""
    here = Path(os.path.abspath(start))
    return next((found for d in (here, *here.parents) if (found := d / FILE_NAME).is_file()), None)


def load(path: str | Path, env: str | None = None, environ: Mapping[str, str] = os.environ) -> Loaded:
    """The configuration of a file, or of the `flyball.toml` in a directory, under the overlay `env` or `FLYBALL_ENV`.

    Raises FlyballError `config_not_found`, `config_invalid`, `config_unknown_key`, `config_type`, `config_value`,
    `config_missing`, `secret_literal` or `env_unknown`, each with file, line and key.
    """
    file = Path(os.path.abspath(path))
    file = file / FILE_NAME if file.is_dir() else file
    text = text_of(file)
    raw = parsed(file, text)
    root = At(file.name, key_lines(text), str(file.parent), _home(environ))
    overlays = raw.pop("env", {})
    flat = _layer(raw, root)
    chosen = env or environ.get("FLYBALL_ENV") or None
    layers = _overlays(overlays, root)
    if chosen is not None:
        _lay(flat, _chosen(layers, chosen, root))
    if ("project", "name") not in flat:
        raise root.refuse("[project] has no name", 'Write name = "...".', "config_missing", missing="project.name")
    return _loaded(flat, root, chosen, environ, file)


def bare(name: str, directory: str | Path, env: str | None = None, environ: Mapping[str, str] = os.environ) -> Loaded:
    """The configuration of a project without a file: `Config.bare`, and the model that `FLYBALL_MODEL` names."""
    check_name("project.name", name)
    root = At("", {}, os.path.abspath(directory), _home(environ))
    flat: Flat = {("project", "name"): Value(name, "default")}
    return _loaded(flat, root, env or environ.get("FLYBALL_ENV") or None, environ, None)


def _loaded(flat: Flat, root: At, env: str | None, environ: Mapping[str, str], file: Path | None) -> Loaded:
    _model_from_environment(flat, root, environ)
    config = _config(_tree(flat), root, env)
    _check_models(config.models, root)
    for key, what, fix in check_routes(config.models, config.routes):
        at = root.down("routes")
        for part in key:
            at = at.down(part)
        raise at.refuse(what, fix)
    if len(config.guards) > MOST_GUARDS:
        raise root.down("guards").refuse(f"there are at most {MOST_GUARDS} guards")
    if len(config.signals) > MOST_SIGNALS:
        raise root.down("signals").refuse(f"there are at most {MOST_SIGNALS} signals")
    sources = {dotted(p): flat[p].source if p in flat else "default" for p, _ in described_paths(config)}
    return Loaded(config=config, sources=sources, file=file)


def _layer(raw: dict[str, Any], at: At) -> Flat:
    """The values of the base or of one overlay, each read and checked."""
    flat: Flat = {}
    if not at.overlay:
        _check_format(raw.pop("flyball", None), at.down("flyball"))
        flat["flyball",] = Value(FORMAT, at.down("flyball").source)
    flat.update(read(raw, TABLES, at))
    if ("project", "policies") in flat and ("project", "policy") in flat:
        why = "policies names a directory and policy a bundle; a project has one of them"
        raise at.down("project").down("policy").refuse(why, "Remove one of the two.")
    return flat


def _check_format(number: Any, at: At) -> None:
    if number is None:
        raise at.refuse("the format number is missing", f"Begin the file with flyball = {FORMAT}.", "config_missing")
    if type(number) is not int or number != FORMAT:
        fix = f"Write flyball = {FORMAT}, or use the version of Flyball that the file was written for."
        raise at.refuse("this version of Flyball does not know the format", fix, "config_format")


def _overlays(raw: Any, root: At) -> dict[str, Flat]:
    if not isinstance(raw, dict):
        raise wrong_type(raw, "a table", root.down("env"))
    found: dict[str, Flat] = {}
    for name, tables in raw.items():
        if not isinstance(tables, dict):
            raise wrong_type(tables, "a table", root.down("env").down(name))
        at = At(root.file, root.lines, root.directory, root.home, (), ("env", name))
        found[name] = _layer(tables, at)
    return found


def _chosen(layers: Mapping[str, Flat], name: str, root: At) -> Flat:
    if name not in layers:
        why = f"{root.file} has {', '.join(f'[env.{n}]' for n in layers) or 'no [env.NAME] tables'}"
        raise FlyballError("env_unknown", f"there is no environment {name!r}", why, nearest(name, layers))
    return layers[name]


def _lay(flat: Flat, over: Flat) -> None:
    """One layer on top of another: a value replaces the value or table that was there, tables merge."""
    for path, value in over.items():
        if not value.table:
            for old in [p for p in flat if p[: len(path)] == path]:
                del flat[old]
        flat[path] = value
    for ours, other in (("policies", "policy"), ("policy", "policies")):
        if ("project", ours) in over:
            flat.pop(("project", other), None)


def _tree(flat: Flat) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        here = tree
        for key in path[:-1]:
            here = here.setdefault(key, {})
        if value.table:
            here.setdefault(path[-1], {})
        else:
            here[path[-1]] = value.value
    return tree


def _model_from_environment(flat: Flat, root: At, environ: Mapping[str, str]) -> None:
    named = environ.get("FLYBALL_MODEL")
    if not named:
        return
    at = At("environment", {}, root.directory, root.home, ("FLYBALL_MODEL",))
    adapter, _, model = named.partition(":")
    if not adapter or not model:
        raise at.refuse(f"{named!r} names no model", "Write ADAPTER:NAME, such as openai:gpt-5.5-mini.")
    if read_adapter(adapter, at) == "scripted":
        raise at.refuse("a script stands in flyball.toml", 'Write adapter = "scripted" and script = "FILE" there.')
    url, key = environ.get("FLYBALL_MODEL_BASE_URL"), environ.get("FLYBALL_MODEL_KEY")
    prefix = ("models", "default")
    for old in [p for p in flat if p[:2] == prefix]:
        del flat[old]
    flat[*prefix, "adapter"] = Value(adapter, "FLYBALL_MODEL")
    flat[*prefix, "model"] = Value(model, "FLYBALL_MODEL")
    if url:
        checked = read_url(url, At("environment", {}, "", "", ("FLYBALL_MODEL_BASE_URL",)))
        flat[*prefix, "base_url"] = Value(checked, "FLYBALL_MODEL_BASE_URL")
    if key:
        # A literal is already in the environment: it is named there, never copied.
        handle = read_handle(key, at) if key.startswith(("env:", "file:")) else Handle("env", "FLYBALL_MODEL_KEY")
        flat[*prefix, "key"] = Value(handle, "FLYBALL_MODEL_KEY")
    elif environ.get(_KEYS[adapter]) or not url:
        flat[*prefix, "key"] = Value(Handle("env", _KEYS[adapter]), "FLYBALL_MODEL")


def _config(tree: dict[str, Any], root: At, env: str | None) -> Config:
    project = tree["project"]
    name = project["name"]
    check_name(f"{root.down('project').down('name').place} project.name", name)
    if "policies" in project:
        project["policy"] = None
    journal: dict[str, Any] = {"path": default_journal(name, root.directory), **tree.get("journal", {})}
    signer = Signer(**{"file": default_signer(name, root.directory, root.home), **tree.get("signer", {})})
    return Config(
        directory=root.directory,
        env=env,
        project=Project(**project),
        journal=Journal(**journal),
        signer=signer,
        keys=Keys(**{"root": default_root(signer.file), **tree.get("keys", {})}),
        models={n: _model(n, table, root) for n, table in tree.get("models", {}).items()},
        limits=_limit_set(tree.get("limits", {})),
        approvals=Approvals(**_in_ms(tree.get("approvals", {}), "expires")),
        release=Release(**tree.get("release", {})),
        tenants={n: _tenant(n, table, tree, root) for n, table in tree.get("tenants", {}).items()},
        secrets=tree.get("secrets", {}),
        credentials=_credentials(tree, tree.get("secrets", {}), root),
        prices=Prices(**tree.get("prices", {})),
        platform_policies=tree.get("platform", {}).get("policies"),
        people=tree.get("directory", {}).get("people"),
        input=Input(**tree.get("input", {})),
        context=Context(**tree.get("context", {})),
        sessions=Sessions(**tree.get("sessions", {})),
        routes={n: _route(n, table) for n, table in tree.get("routes", {}).items()},
        artifacts=Artifacts(**tree.get("artifacts", {})),
        memory=_memory(tree.get("memory", {}), root),
        guards={n: _guard(n, table, root) for n, table in tree.get("guards", {}).items()},
        telemetry={n: _telemetry(n, table) for n, table in tree.get("telemetry", {}).items()},
        signals={n: _scale(n, table, root) for n, table in tree.get("signals", {}).items()},
    )


def _tenant(name: str, table: dict[str, Any], tree: dict[str, Any], root: At) -> TenantConfig:
    there = {**tree.get("secrets", {}), **table.get("secrets", {})}
    known: dict[str, Any] = {**table, "credentials": _credentials(table, there, root.down("tenants").down(name))}
    return TenantConfig(**known)


def _credentials(table: dict[str, Any], secrets: Mapping[str, Any], at: At) -> dict[str, Credential]:
    """Who owns which secret; a secret that there is not is refused."""
    found: dict[str, Credential] = {}
    for name, told in table.get("credentials", {}).items():
        place = at.down("credentials").down(name)
        if name not in secrets:
            raise place.refuse(f"there is no secret {name}", nearest(name, secrets) or "Add it under [secrets].")
        if "owner" not in told:
            raise place.refuse("owner is missing", 'Write owner = "user:NAME".', "config_missing")
        found[name] = Credential(**told)
    return found


def _model(name: str, table: dict[str, Any], root: At) -> ModelConfig:
    at = root.down("models").down(name)
    if "adapter" not in table:
        raise at.refuse("adapter is missing", 'Write adapter = "openai".', "config_missing")
    needed = "script" if table["adapter"] == "scripted" else "model"
    if needed not in table:
        raise at.refuse(f"{needed} is missing", f'Write {needed} = "...".', "config_missing")
    if "key" in table:
        table["key"] = str(table["key"])
    return ModelConfig(name=name, **_in_ms(_in_ms(table, "timeout"), "latency"))


def _route(name: str, table: dict[str, Any]) -> Route:
    rules = {rule: _rule(own) for rule, own in table.pop("rules", {}).items()}
    return Route(name=name, rules=rules, **_in_ms(table, "deadline"))


def _rule(table: dict[str, Any]) -> Rule:
    if "max_usd" in table:
        table["max_usd"] = micro_dollars(table["max_usd"])
    return Rule(**_in_ms(table, "max_latency"))


def _memory(table: dict[str, Any], root: At) -> MemorySet:
    embedding = table.pop("embedding", None)
    if embedding is not None and "model" not in embedding:
        at = root.down("memory").down("embedding")
        raise at.refuse("model is missing", 'Write model = "text-embedding-3-small".', "config_missing")
    if embedding is not None and "key" in embedding:
        embedding["key"] = str(embedding["key"])
    made = EmbeddingConfig(**embedding) if embedding is not None else None
    return MemorySet(**_in_ms(table, "episode_ttl"), embedding=made)


def _guard(name: str, table: dict[str, Any], root: At) -> GuardConfig:
    at = root.down("guards").down(name)
    if not GUARD_NAME.fullmatch(name):
        raise at.refuse("policies read it as context.guard.NAME", "Call it by small letters, digits and _, at most 32.")
    if not table.get("stages"):
        raise at.refuse(
            "stages is missing", f"Write stages = [...] with some of {', '.join(PLACES)}.", "config_missing"
        )
    if "key" in table:
        table["key"] = str(table["key"])
    return GuardConfig(name=name, **_in_ms(table, "timeout"))


def _scale(name: str, table: dict[str, Any], root: At) -> Scale:
    at, scale = root.down("signals").down(name), Scale(**table)
    if not SIGNAL_NAME.fullmatch(name):
        fix = "Call it by small letters, digits and _, at most 32."
        raise at.refuse("policies read it as context.run.signals.NAME", fix)
    if not scale.least < scale.most:
        raise at.refuse(f"from {scale.least} to {scale.most} there is no range", "Write least below most.")
    return scale


def _telemetry(name: str, table: dict[str, Any]) -> TelemetryConfig:
    handles = {header: str(handle) for header, handle in table.get("headers", {}).items()}
    known: dict[str, Any] = {**_in_ms(table, "timeout"), "key": str(table.get("key", "")), "headers": handles}
    return TelemetryConfig(name=name, **known)


def _limit_set(table: dict[str, Any]) -> LimitSet:
    agent = table.get("agent", {})
    over_all = {key: value for key, value in agent.items() if key == OPEN or key.endswith(_PER_DAY)}
    in_run = {key: value for key, value in agent.items() if key not in over_all}
    return LimitSet(
        run=Limits(**table.get("run", {})), agent=Limits(**in_run), step=Limits(**table.get("step", {})),
        tenant=_by_day(table.get("tenant", {})), each_agent=_by_day(over_all),
        agents={name: _by_day(own) for name, own in table.get("agents", {}).items()},
    )  # fmt: skip


def _by_day(table: dict[str, Any]) -> Limits:
    return Limits(**{key.removesuffix(_PER_DAY): value for key, value in table.items()})


def _in_ms(table: dict[str, Any], key: str) -> dict[str, Any]:
    return {f"{k}_ms" if k == key else k: value for k, value in table.items()}


def _check_models(models: Mapping[str, ModelConfig], root: At) -> None:
    for name, model in models.items():
        at = root.down("models").down(name).down("fallback")
        for other in model.fallback:
            if other == name:
                raise at.refuse(f"{name} cannot be its own fallback")
            if other not in models:
                raise at.refuse(f"there is no [models.{other}]", nearest(other, models) or f"Add [models.{other}].")


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or os.path.expanduser("~")
