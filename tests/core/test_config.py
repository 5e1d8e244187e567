"""Configuration records: durations, handles, names, defaults, and how they are written."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core import config
from flyball.core.config import Config, Credential, Handle, LimitSet, TenantConfig
from flyball.core.errors import FlyballError
from flyball.core.guard import GuardConfig
from flyball.core.limits import Limits
from flyball.core.model import ModelConfig
from flyball.core.route import Route, Rule

BARE = Config.bare("desk", "/srv/desk", home="/home/kim")


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("500ms", 500), ("30s", 30_000), ("15m", 900_000), ("48h", 172_800_000), ("7d", 604_800_000)],
)
def test_durations_are_read_to_the_millisecond(text: str, milliseconds: int) -> None:
    assert config.parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text", ["", "48", "h", "0s", "-1s", "1.5h", "1h30m", "1 h", "1w", "٣s", "3651d", "9999999999999ms", "1s\n"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        config.parse_duration(text)


@given(st.integers(1, config.LONGEST_MS))
def test_a_duration_is_written_so_that_it_reads_the_same(milliseconds: int) -> None:
    assert config.parse_duration(config.duration_text(milliseconds)) == milliseconds


def test_no_time_at_all_is_written_in_milliseconds() -> None:
    assert config.duration_text(0) == "0ms"


@pytest.mark.parametrize("text", ["env:SMTP_PASSWORD", "file:/run/secrets/smtp"])
def test_a_handle_is_written_as_it_was_read(text: str) -> None:
    assert str(config.parse_handle(text)) == text


@pytest.mark.parametrize("text", ["", "hunter2", "env:", "env:A B", "env:1X", "file:", "file: ", "vault:x", "file:\0"])
def test_a_literal_is_no_handle_and_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"^neither env:NAME nor file:PATH$"):
        config.parse_handle(text)


@pytest.mark.parametrize("name", ["", "../desk", "a/b", ".desk", "a b", "x" * 65, "desk\n"])
def test_a_name_that_is_unfit_for_a_file_is_refused(name: str) -> None:
    with pytest.raises(FlyballError, match="no name"):
        Config.bare(name, "/srv", home="/home/kim")


def test_a_bare_project_keeps_its_journal_inside_and_its_keys_outside() -> None:
    assert BARE.journal.path == "/srv/desk/.flyball/desk.db"
    assert BARE.signer.file.startswith("/home/kim/.local/state/flyball/desk-")
    assert BARE.keys.root == Handle("file", BARE.signer.file.removesuffix(".signer") + ".root")
    assert BARE.project.policy == "flyball/starter" and BARE.project.policies is None


def test_two_directories_never_share_a_signer() -> None:
    assert Config.bare("desk", "/srv/other", home="/home/kim").signer != BARE.signer


def test_the_defaults_are_the_strict_ones() -> None:
    assert BARE.journal.synchronous == "FULL" and BARE.approvals.on_expiry == "deny"
    assert BARE.release.waiting == "move-if-equal" and BARE.input.max_bytes == 1_048_576
    assert BARE.approvals.expires_ms == 48 * config.HOUR_MS and BARE.people is None


def test_a_configuration_is_described_as_it_would_be_written() -> None:
    model = ModelConfig(name="default", model="m", key="env:K", fallback=("small",), timeout_ms=90_000)
    written = config.described(msgspec.structs.replace(BARE, models={"default": model}))
    assert written["models.default.key"] == "env:K" and written["models.default.fallback"] == ["small"]
    assert written["models.default.at_once"] == 32 and written["models.default.cache"] is False
    assert written["models.default.timeout"] == "90s" and written["approvals.expires"] == "48h"
    assert (
        "models.default.script" not in written and "models.default.name" not in written and "prices.file" not in written
    )


def test_a_guard_is_described_as_it_would_be_written() -> None:
    guard = GuardConfig(name="pii", stages=("context",), timeout_ms=1_500, settings={"find": ("email",)})
    written = config.described(msgspec.structs.replace(BARE, guards={"pii": guard}))
    assert written["guards.pii.timeout"] == "1500ms" and written["guards.pii.stages"] == ["context"]
    assert written["guards.pii.settings.find"] == ["email"] and "guards.pii.name" not in written


def test_a_route_is_described_as_it_would_be_written() -> None:
    rules = {"hard": Rule(complexity=600, max_usd=50_000, prefer="cost"), "any": Rule(max_latency_ms=2_000)}
    route = Route(name="desk", models=("a", "b"), deadline_ms=30_000, rules=rules)
    written = {k: v for k, v in config.described(msgspec.structs.replace(BARE, routes={"desk": route})).items()
               if k.startswith("routes.")}  # fmt: skip
    assert written == {
        "routes.desk.models": ["a", "b"], "routes.desk.prefer": "listed", "routes.desk.deadline": "30s",
        "routes.desk.rules.hard.complexity": 600, "routes.desk.rules.hard.max_usd": "0.05",
        "routes.desk.rules.hard.prefer": "cost", "routes.desk.rules.any.max_latency": "2s",
    }  # fmt: skip


def test_limits_are_described_with_their_unit() -> None:
    own = {"writer": Limits(denials=4, open_approvals=1)}
    limits = LimitSet(
        run=Limits(steps=3), step=Limits(calls=2), tenant=Limits(usd="200.00"), each_agent=Limits(asks=6), agents=own
    )
    written = config.described(msgspec.structs.replace(BARE, limits=limits))
    assert written["limits.run.steps"] == 3 and written["limits.tenant.usd_per_day"] == "200.00"
    assert written["limits.step.calls"] == 2 and written["limits.agent.asks_per_day"] == 6
    assert written["limits.agents.writer.denials_per_day"] == 4
    assert written["limits.agents.writer.open_approvals"] == 1


def test_tenants_and_people_are_described_under_quoted_keys() -> None:
    tenants = {"acme.eu": TenantConfig(settings={"db": {"port": 5}, "on": True}, secrets={"s": Handle("env", "S")},
                                       credentials={"s": Credential(owner="user:zoe")})}  # fmt: skip
    more = msgspec.structs.replace(
        BARE,
        tenants=tenants,
        people={"user:fay": ("finance",)},
        prices=config.Prices(file="/p.toml"),
        platform_policies="/etc/p",
    )
    written = config.described(more)
    assert written['tenants."acme.eu".settings.db.port'] == 5 and written['tenants."acme.eu".secrets.s'] == "env:S"
    assert written['directory.people."user:fay"'] == ["finance"]
    assert written['tenants."acme.eu".credentials.s.owner'] == "user:zoe"
    assert (written["prices.file"], written["platform.policies"]) == ("/p.toml", "/etc/p")


def test_a_setting_that_json_does_not_know_is_described_as_text() -> None:
    tenants = {"acme": TenantConfig(settings={"since": date(2020, 1, 2)})}
    written = config.described(msgspec.structs.replace(BARE, tenants=tenants))
    assert written["tenants.acme.settings.since"] == "2020-01-02"


@pytest.mark.promise("gate-credential-owners")
def test_a_credential_is_the_tenant_s_owner_s_and_else_the_project_s_unless_the_tenant_has_its_own_secret() -> None:
    tenants = {
        "own": TenantConfig(secrets={"smtp": Handle("env", "OWN")}),
        "theirs": TenantConfig(credentials={"smtp": Credential(owner="user:zoe")}),
    }
    made = msgspec.structs.replace(BARE, tenants=tenants, credentials={"smtp": Credential(owner="user:fay")})
    told = [made.owners(tenant, ["smtp", "other"]) for tenant in ("local", "own", "theirs")]
    assert told == [("user:fay",), (), ("user:zoe",)]
