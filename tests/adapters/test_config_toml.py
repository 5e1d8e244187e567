"""Reading `flyball.toml`: what is refused and how, overlays, sources, and what the environment replaces."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.adapters.config_toml import Loaded, bare, find_project, load
from flyball.adapters.config_toml.shape import TABLES, Each
from flyball.adapters.config_toml.text import key_lines
from flyball.core.config import Config, Credential, Handle, Prices, described
from flyball.core.errors import FlyballError
from flyball.core.signals import Scale
from flyball.core.telemetry import TelemetryConfig

HOME = {"HOME": "/home/kim"}
HEAD = 'flyball = 1\n[project]\nname = "desk"\n'
FULL = (
    HEAD
    + """modules = ["tools", "desk.flows"]
policies = "policies"
[journal]
path = ".flyball/desk.db"
[signer]
file = "~/.local/state/flyball/desk.signer"
[models.default]
adapter = "openai"
model = "gpt-5.5-mini"
key = "env:OPENAI_API_KEY"
fallback = ["small"]
timeout = "90s"
[models.small]
adapter = "scripted"
script = "scripts/demo.toml"
[keys]
root = "file:root.key"
[limits]
run = { steps = 40, seconds = 900, usd = "2.00" }
tenant = { usd_per_day = "200.00" }
[approvals]
expires = "48h"
on_expiry = "escalate"
[release]
waiting = "pin"
[tenants.acme.settings]
smtp_host = "127.0.0.1"
db = { host = "a", port = 1 }
[tenants.quiet]
[secrets]
smtp = "env:SMTP_PASSWORD"
[credentials.smtp]
owner = "user:sam"
[prices]
file = "prices.toml"
digest = "abababababababababababababababababababababababababababababababab"
[platform]
policies = "/etc/flyball/policies"
[directory.people]
fay = ["finance"]
[input]
max_bytes = 2048
[guards.pii]
stages = ["tool_args", "context"]
timeout = "500ms"
on_error = "open"
key = "env:GUARD_KEY"
[guards.pii.settings]
find = ["email"]
patterns = { ticket = "TCK-[0-9]{6}" }
[signals.quality]
[signals.degrees]
least = -40
most = 120.5
[telemetry.phoenix]
preset = "phoenix"
url = "http://127.0.0.1:6006"
key = "env:PHOENIX_KEY"
headers = { x-team = "env:TEAM" }
project = "desk"
tenants = ["acme"]
metrics = false
inside = false
timeout = "3s"
[telemetry.phoenix.content]
pay = ["arguments.cents", "result"]
[env.prod.guards.pii]
mode = "shadow"
[env.prod.journal]
path = "/var/lib/desk/desk.db"
[env.prod.tenants.acme.settings.db]
host = "b"
[env.bundled.project]
policy = "flyball/starter"
"""
)


LIMITS = "steps = 1, seconds = 2, tokens = 3, usd = '4', calls = 5, effects = 6"
DAILY = ", ".join(f"{name}_per_day = {value}" for name, _, value in (part.split() for part in LIMITS.split(", ")))
CAPS = "open_approvals = 7, asks = 8, denials = 9"
DAYS = f"{DAILY}, open_approvals = 7, asks_per_day = 8, denials_per_day = 9"
EVERY = (
    HEAD
    + f"""modules = ["tools"]
policies = "policies"
[journal]
path = "a.db"
synchronous = "NORMAL"
[signer]
file = "a.signer"
[keys]
root = "env:ROOT"
[models.default]
adapter = "anthropic"
model = "m"
key = "env:K"
base_url = "https://m.example/v1"
fallback = ["small"]
region = "eu"
vendor = "v"
max_tokens = 7
timeout = "9s"
at_once = 3
cache = true
stream = true
latency = "2s"
files = ["image/png"]
script = "a.toml"
[models.small]
adapter = "gemini"
model = "s"
[routes.smtp]
models = ["small", "default"]
prefer = "cost"
deadline = "30s"
[routes.smtp.rules.smtp]
roles = ["planner"]
agents = ["a"]
tenants = ["acme"]
sensitivities = ["secret"]
complexity = 600
models = ["default"]
prefer = "latency"
regions = ["eu"]
max_usd = "0.05"
max_latency = "4s"
[limits]
run = {{ {LIMITS}, {CAPS} }}
agent = {{ {LIMITS}, {DAYS} }}
agents = {{ smtp = {{ {DAYS} }} }}
step = {{ tokens = 3, usd = "4", calls = 5, effects = 6 }}
tenant = {{ {DAYS} }}
[approvals]
expires = "1h"
on_expiry = "escalate"
[release]
waiting = "ask"
[tenants.acme]
settings = {{ host = "a" }}
secrets = {{ smtp = "env:S" }}
credentials = {{ smtp = {{ owner = "user:zoe" }} }}
[secrets]
smtp = "env:S"
[credentials.smtp]
owner = "user:sam"
[sessions]
queue = 2
[artifacts]
file_bytes = 1
run_bytes = 2
tenant_bytes = 3
[context]
tokens = 100
[memory]
tenant_items = 1
tenant_bytes = 2
principal_items = 3
principal_bytes = 4
episodes = true
episode_ttl = "30d"
[memory.embedding]
model = "e"
base_url = "https://e.example/v1"
key = "env:E"
floor = 0.5
[prices]
file = "p.toml"
digest = "{"ab" * 32}"
[platform]
policies = "/etc/p"
[directory.people]
fay = ["finance"]
[input]
max_bytes = 9
[signals.smtp]
least = -1.5
most = 2
[telemetry.smtp]
preset = "plain"
url = "http://localhost:4318"
key = "env:K"
project = "desk"
tenants = ["local"]
metrics = false
inside = false
timeout = "1s"
[telemetry.smtp.headers]
smtp = "env:H"
[telemetry.smtp.content]
smtp = ["result"]
[guards.smtp]
adapter = "pack"
stages = ["context"]
tools = ["look"]
on_error = "open"
mode = "shadow"
timeout = "1s"
group = "finance"
key = "env:LAKERA_KEY"
url = "https://guard.example/v2/guard"
settings.host = 1
"""
)


def read(tmp_path: Path, text: str, env: str | None = None, environ: Mapping[str, str] = HOME) -> Loaded:
    (tmp_path / "flyball.toml").write_text(text, encoding="utf-8")
    return load(tmp_path, env, environ)


def refused(tmp_path: Path, text: str, env: str | None = None, environ: Mapping[str, str] = HOME) -> FlyballError:
    with pytest.raises(FlyballError) as caught:
        read(tmp_path, text, env, environ)
    return caught.value


def test_every_table_is_read(tmp_path: Path) -> None:
    config = read(tmp_path, FULL).config
    assert config.project.modules == ("tools", "desk.flows") and config.project.policy is None
    assert config.models["default"].timeout_ms == 90_000 and config.models["default"].fallback == ("small",)
    assert config.limits.run.usd == "2.00" and config.limits.tenant.usd == "200.00"
    assert (config.approvals.on_expiry, config.release.waiting) == ("escalate", "pin")
    assert config.people == {"fay": ("finance",)} and config.input.max_bytes == 2048
    assert config.secrets == {"smtp": Handle("env", "SMTP_PASSWORD")}
    assert config.credentials == {"smtp": Credential(owner="user:sam")}
    assert config.prices == Prices(file=str(tmp_path / "prices.toml"), digest="ab" * 32)


def test_a_guard_is_read_with_its_settings_and_an_overlay(tmp_path: Path) -> None:
    guard = read(tmp_path, FULL).config.guards["pii"]
    assert (guard.name, guard.adapter, guard.mode, guard.group) == ("pii", "pack", "enforce", "owner")
    assert (guard.stages, guard.timeout_ms, guard.on_error) == (("tool_args", "context"), 500, "open")
    assert guard.key == "env:GUARD_KEY"
    assert guard.settings == {"find": ["email"], "patterns": {"ticket": "TCK-[0-9]{6}"}}
    assert read(tmp_path, FULL, "prod").config.guards["pii"].mode == "shadow"


def test_a_signal_goes_from_nothing_to_one_unless_it_says_otherwise(tmp_path: Path) -> None:
    assert read(tmp_path, FULL).config.signals == {"quality": Scale(), "degrees": Scale(least=-40, most=120.5)}


@pytest.mark.parametrize(
    "more",
    [
        "[signals.Quality]\n",
        "[signals.quality]\nleast = 1\n",
        "[signals.quality]\nmost = inf\n",
        '[signals.quality]\nmost = "1"\n',
        "".join(f"[signals.s{n}]\n" for n in range(65)),
    ],
)
def test_a_signal_that_no_policy_could_read_is_refused(tmp_path: Path, more: str) -> None:
    assert refused(tmp_path, HEAD + more).code in ("config_value", "config_type")


@pytest.mark.parametrize(
    "more",
    [
        '[guards.pii]\nmode = "shadow"\n',
        '[guards.pii]\nstages = ["memories"]\n',
        '[guards.PII]\nstages = ["context"]\n',
        '[guards.pii]\nstages = ["context"]\nadapter = "magic"\n',
        "".join(f'[guards.g{n}]\nstages = ["context"]\n' for n in range(17)),
    ],
)
def test_a_guard_that_would_not_look_is_refused(tmp_path: Path, more: str) -> None:
    assert refused(tmp_path, HEAD + more).code in ("config_value", "config_missing")


def test_an_exporter_is_read_with_what_may_leave(tmp_path: Path) -> None:
    exporter = read(tmp_path, FULL).config.telemetry["phoenix"]
    assert exporter == TelemetryConfig(
        name="phoenix", preset="phoenix", url="http://127.0.0.1:6006", key="env:PHOENIX_KEY",
        headers={"x-team": "env:TEAM"}, project="desk", content={"pay": ("arguments.cents", "result")}, metrics=False,
        tenants=("acme",),
        inside=False, timeout_ms=3_000,
    )  # fmt: skip
    assert read(tmp_path, HEAD + "[telemetry.plain]\n").config.telemetry["plain"].preset == "plain"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ('preset = "phenix"\n', "config_value"),
        ('key = "sk-123"\n', "secret_literal"),
        ('headers = { x-key = "sk-123" }\n', "secret_literal"),
        ('content = { pay = ["detail"] }\n', "config_value"),
        ('content = ["pay"]\n', "config_type"),
        ("sample = 1\n", "config_unknown_key"),
        ('url = "nowhere"\n', "config_value"),
    ],
)
def test_an_exporter_that_could_not_be_is_refused(tmp_path: Path, more: str, code: str) -> None:
    assert refused(tmp_path, HEAD + "[telemetry.t]\n" + more).code == code


def test_an_empty_table_of_a_tenant_is_a_tenant(tmp_path: Path) -> None:
    config = read(tmp_path, FULL).config
    assert config.tenants["quiet"].settings == {}


def test_a_directory_without_people_is_not_the_absence_of_one(tmp_path: Path) -> None:
    assert read(tmp_path, HEAD + "[directory]\npeople = {}\n").config.people == {}


def test_paths_begin_at_the_file_and_tilde_is_home(tmp_path: Path) -> None:
    config = read(tmp_path, FULL).config
    assert config.directory == str(tmp_path) and config.project.policies == str(tmp_path / "policies")
    assert config.journal.path == str(tmp_path / ".flyball" / "desk.db")
    assert config.signer.file == "/home/kim/.local/state/flyball/desk.signer"
    assert config.keys.root == Handle("file", str(tmp_path / "root.key"))
    assert config.models["small"].script == str(tmp_path / "scripts" / "demo.toml")


def test_a_file_with_a_name_only_is_the_bare_project(tmp_path: Path) -> None:
    expected = Config.bare("desk", str(tmp_path), home="/home/kim")
    assert read(tmp_path, HEAD).config == expected == bare("desk", tmp_path, environ=HOME).config


def test_the_root_key_stands_beside_the_signer_that_was_named(tmp_path: Path) -> None:
    config = read(tmp_path, HEAD + '[signer]\nfile = "/keys/desk.signer"\n').config
    assert config.keys.root == Handle("file", "/keys/desk.root")


@pytest.mark.promise("api-unknown-keys-refused")
@pytest.mark.parametrize(
    ("more", "what", "fix"),
    [
        ('[jurnal]\npath = "x"\n', "flyball.toml:4 jurnal", "Did you mean journal?"),
        ('[journal]\npth = "x"\n', "flyball.toml:5 [journal] pth", "Did you mean path?"),
        ('[models.default]\nadaptor = "x"\n', "flyball.toml:5 [models.default] adaptor", "Did you mean adapter?"),
        ("[limits]\nrun = { step = 4 }\n", "flyball.toml:5 [limits.run] step", "Did you mean steps?"),
        (
            "[limits.agents.x]\nusd = '1'\n",
            "flyball.toml:5 [limits.agents.x] usd",
            "Known here: steps_per_day",
        ),
        (
            "[limits.agent]\nask_per_day = 1\n",
            "flyball.toml:5 [limits.agent] ask_per_day",
            "Did you mean asks_per_day?",
        ),
        ('[env.prod.journal]\nzzz = "x"\n', "flyball.toml:5 [env.prod.journal] zzz", "Known here: path, synchronous."),
        ("[env.prod]\nflyball = 1\n", "flyball.toml:5 [env.prod] flyball", ""),
        ("[env.prod.env.x]\n", "flyball.toml:4 [env.prod] env", ""),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_one(tmp_path: Path, more: str, what: str, fix: str) -> None:
    error = refused(tmp_path, HEAD + more)
    assert error.code == "config_unknown_key" and error.what == what and error.fix.startswith(fix)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("[journal]\npath = 1\n", "a whole number stands where text belongs"),
        ("journal = 1\n", "unknown key"),
        ("[approvals]\nexpires = 48\n", "a whole number stands where a duration belongs"),
        ("[limits]\nrun = { usd = 2.0 }\n", "a number with a point stands where dollars as text belongs"),
        ("[limits]\nrun = { steps = true }\n", "true or false stands where a whole number belongs"),
        ("[limits]\nrun = { steps = 4.0 }\n", "a number with a point stands where a whole number belongs"),
        ('[limits]\nrun = { seconds = "9" }\n', "text stands where a number of seconds belongs"),
        ("[limits]\nrun = 4\n", "a whole number stands where a table belongs"),
        ("[tenants]\nacme = 2020-01-01\n", "a date or time stands where a table belongs"),
        ('[models.m]\nfallback = "x"\n', "text stands where an array of text belongs"),
        ("[models.m]\nfallback = [1]\n", "an array stands where an array of text belongs"),
        ("[secrets]\nsmtp = 1\n", "a whole number stands where env:NAME or file:PATH belongs"),
        ("[env]\nprod = 1\n", "a whole number stands where a table belongs"),
    ],
)
def test_a_wrong_type_is_named(tmp_path: Path, more: str, why: str) -> None:
    error = refused(tmp_path, HEAD + more)
    assert error.code in ("config_type", "config_unknown_key") and error.why == why


@pytest.mark.promise("gate-credential-owners")
@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('[credentials.smpt]\nowner = "user:sam"\n', "there is no secret smpt"),
        ("[credentials.smtp]\n", "owner is missing"),
        ('[credentials.smtp]\nowner = "sam"\n', "'sam' names no person"),
        ('[credentials.smtp]\nowner = "service:bot"\n', "'service:bot' names no person"),
        ('[tenants.acme.credentials.imap]\nowner = "user:sam"\n', "there is no secret imap"),
    ],
)
def test_an_owner_of_no_secret_or_who_is_no_person_is_refused(tmp_path: Path, more: str, why: str) -> None:
    assert refused(tmp_path, HEAD + '[secrets]\nsmtp = "env:SMTP"\n' + more).why == why


def test_overlays_that_are_no_table_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, "env = 1\n" + HEAD).code == "config_type"


@pytest.mark.parametrize(
    "more",
    [
        '[journal]\npath = " "\n',
        '[journal]\npath = "~root/x"\n',
        '[journal]\nsynchronous = "OFF"\n',
        '[approvals]\nexpires = "soon"\n',
        '[approvals]\non_expiry = "allow"\n',
        '[release]\nwaiting = "moved"\n',
        "[limits]\nrun = { steps = -1 }\n",
        "[limits.agents.writer]\ndenials_per_day = -1\n",
        "[limits]\nrun = { seconds = inf }\n",
        "[limits]\nrun = { seconds = -1 }\n",
        '[limits]\nrun = { usd = "free" }\n',
        '[limits]\nrun = { usd = "0.0000001" }\n',
        "[input]\nmax_bytes = 0\n",
        '[prices]\ndigest = "abcd"\n',
        '[models.m]\nbase_url = "ftp://x"\n',
        '[models.m]\nbase_url = "http://[x"\n',
        '[models.m]\nadapter = "openai"\nmodel = "m"\nfallback = ["n"]\n',
        '[models.m]\nadapter = "openai"\nmodel = "m"\nfallback = ["m"]\n',
        '[tenants."a/b".settings]\n',
        "[tenants.acme.settings]\nx = nan\n",
        'policy = "flyball/starter"\npolicies = "policies"\n',
        'modules = ["tools.py", "a-b"]\n',
        'policy = "flyball/stater"\n',
    ],
)
def test_a_value_that_means_nothing_is_refused(tmp_path: Path, more: str) -> None:
    assert refused(tmp_path, HEAD + more).code == "config_value"


def test_a_value_near_a_known_one_is_helped(tmp_path: Path) -> None:
    assert refused(tmp_path, HEAD + '[approvals]\non_expiry = "escalat"\n').fix == "Did you mean escalate?"


@pytest.mark.promise("api-keys-only-as-handles")
@pytest.mark.parametrize(
    "more",
    [
        '[secrets]\nsmtp = "hunter2-hunter2"\n',
        '[tenants.acme.secrets]\nsmtp = "hunter2-hunter2"\n',
        '[models.m]\nkey = "hunter2-hunter2"\n',
        '[keys]\nroot = "hunter2-hunter2"\n',
        '[models.m]\nbase_url = "https://kim:hunter2-hunter2@host/v1"\n',
        '[env.prod.secrets]\nsmtp = "hunter2-hunter2"\n',
    ],
)
def test_a_literal_secret_is_refused_and_never_repeated(tmp_path: Path, more: str) -> None:
    error = refused(tmp_path, HEAD + more)
    assert error.code == "secret_literal" and "hunter2" not in f"{error} {error.data}"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('[project]\nname = "desk"\n', "config_missing"),
        ("flyball = 2\n", "config_format"),
        ("flyball = true\n", "config_format"),
        ("flyball = 1\n", "config_missing"),
        (HEAD + '[models.m]\nmodel = "x"\n', "config_missing"),
        (HEAD + '[models.m]\nadapter = "openai"\n', "config_missing"),
        (HEAD + '[models.m]\nadapter = "scripted"\nmodel = "x"\n', "config_missing"),
        ('flyball = 1\n[project]\nname = "a/b"\n', "config_value"),
        ("flyball = \n", "config_invalid"),
        ("flyball = 1\nx = " + "[" * 5000, "config_invalid"),
        ("#" * 1_048_577, "config_invalid"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(tmp_path: Path, text: str, code: str) -> None:
    assert refused(tmp_path, text).code == code


def test_broken_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    error = refused(tmp_path, HEAD + "journal = {\n")
    assert error.code == "config_invalid" and error.what.startswith("flyball.toml:4 ")


def test_a_file_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "flyball.toml").write_bytes(b"flyball = 1 # \xff\n")
    with pytest.raises(FlyballError, match="no UTF-8"):
        load(tmp_path, environ=HOME)


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "flyball.toml").write_bytes(b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode())
    assert load(tmp_path, environ=HOME).sources["project.name"] == "flyball.toml:3"


def test_a_file_that_is_not_there_or_not_readable_is_named(tmp_path: Path) -> None:
    with pytest.raises(FlyballError, match="is not there"):
        load(tmp_path / "other.toml", environ=HOME)
    (tmp_path / "flyball.toml").mkdir()
    with pytest.raises(FlyballError, match="cannot be read"):
        load(tmp_path, environ=HOME)


@pytest.mark.promise("api-overlays-say-their-source")
def test_an_overlay_goes_over_the_file_key_by_key(tmp_path: Path) -> None:
    config = read(tmp_path, FULL, "prod").config
    assert config.env == "prod" and config.journal.path == "/var/lib/desk/desk.db"
    assert config.tenants["acme"].settings == {"smtp_host": "127.0.0.1", "db": {"host": "b", "port": 1}}


def test_the_environment_chooses_the_overlay_unless_an_argument_does(tmp_path: Path) -> None:
    environ = {**HOME, "FLYBALL_ENV": "prod"}
    assert read(tmp_path, FULL, environ=environ).config.env == "prod"
    assert read(tmp_path, FULL, "bundled", environ).config.env == "bundled"
    assert read(tmp_path, FULL, environ={**HOME, "FLYBALL_ENV": ""}).config.env is None


def test_an_overlay_that_names_a_bundle_replaces_the_directory_of_policies(tmp_path: Path) -> None:
    project = read(tmp_path, FULL, "bundled").config.project
    assert project.policy == "flyball/starter" and project.policies is None


def test_an_overlay_may_replace_a_table_by_a_value_and_a_value_by_a_table(tmp_path: Path) -> None:
    text = HEAD + "[tenants.a.settings]\nx = 1\ny = { z = 1 }\n[env.e.tenants.a.settings]\ny = 2\nx = { w = 3 }\n"
    assert read(tmp_path, text, "e").config.tenants["a"].settings == {"x": {"w": 3}, "y": 2}


def test_an_unknown_environment_is_refused_with_the_nearest(tmp_path: Path) -> None:
    error = refused(tmp_path, FULL, "prd")
    assert error.code == "env_unknown" and error.fix == "Did you mean prod?" and "[env.prod]" in error.why
    assert refused(tmp_path, HEAD, "prod").why == "flyball.toml has no [env.NAME] tables"


@pytest.mark.promise("api-overlays-say-their-source")
def test_each_value_says_where_it_came_from(tmp_path: Path) -> None:
    sources = read(tmp_path, FULL, "prod").sources
    lines = FULL.split("\n")
    overlaid = lines.index('path = "/var/lib/desk/desk.db"') + 1
    run = lines.index('run = { steps = 40, seconds = 900, usd = "2.00" }') + 1
    assert sources["journal.path"] == f"env.prod (flyball.toml:{overlaid})"
    assert sources["flyball"] == "flyball.toml:1" and sources["project.name"] == "flyball.toml:3"
    assert sources["limits.run.usd"] == sources["limits.run.steps"] == f"flyball.toml:{run}"
    assert sources["journal.synchronous"] == "default"


def keys(raw: object, *path: str) -> set[str]:
    return (
        {key for name, each in raw.items() for key in keys(each, *path, name)}
        if isinstance(raw, dict)
        else {".".join(path)}
    )


def shapes(shape: object, *path: str) -> set[str]:
    """Every key that may be written, with the names that a user chooses as they are in `EVERY`."""
    if isinstance(shape, Each):
        name = {"models": "default", "tenants": "acme", "settings": "host", "people": "fay"}.get(path[-1], "smtp")
        return shapes(shape.inside, *path, name)
    below = shape.items() if isinstance(shape, dict) else ()
    return {key for name, each in below for key in shapes(each, *path, name)} or {".".join(path)}


@pytest.mark.promise("api-overlays-say-their-source")
def test_every_key_that_may_be_written_is_shown_with_its_source(tmp_path: Path) -> None:
    may = shapes(TABLES) - {"project.policy"}  # instead of project.policies
    assert may <= keys(tomllib.loads(EVERY))
    loaded = read(tmp_path, EVERY)
    assert may <= described(loaded.config).keys()
    assert not [key for key in may if loaded.sources[key] == "default"]


def test_lines_are_found_behind_strings_and_arrays_that_look_like_keys() -> None:
    text = 'a = """\n[b]\nc = 1\n"""\nd = [\n  "e = 1",\n]\n# f = 1\n[g."h.i"]\nj.k = 1\n[[l]]\nm = 1\n'
    lines = key_lines(text)
    assert lines == {
        ("a",): 1, ("d",): 5, ("g",): 9, ("g", "h.i"): 9, ("g", "h.i", "j"): 10, ("g", "h.i", "j", "k"): 10,
        ("l",): 11, ("l", "m"): 12,
    }  # fmt: skip


def test_lines_are_given_up_behind_a_very_long_statement() -> None:
    assert key_lines("a = 1\nb = [\n" + "1,\n" * 600 + "]\nc = 1\n") == {("a",): 1}


@given(st.lists(st.sampled_from(["a = 1", "", "# x = 2", 'b = """', '"""', "c = [", "]", "[t]", "[u.v]"]), max_size=12))
def test_finding_lines_never_fails(lines: list[str]) -> None:
    assert all(0 < line <= len(lines) + 1 for line in key_lines("\n".join(lines)).values())


def test_a_model_from_the_environment_replaces_the_default_whole(tmp_path: Path) -> None:
    environ = {**HOME, "FLYBALL_MODEL": "openai:llama:8b", "FLYBALL_MODEL_BASE_URL": "http://localhost:8080/v1"}
    loaded = read(tmp_path, FULL, environ=environ)
    model = loaded.config.models["default"]
    assert (model.adapter, model.model, model.base_url) == ("openai", "llama:8b", "http://localhost:8080/v1")
    assert model.key == "" and model.fallback == () and "small" in loaded.config.models
    assert loaded.sources["models.default.model"] == "FLYBALL_MODEL"
    assert loaded.sources["models.default.base_url"] == "FLYBALL_MODEL_BASE_URL"


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({}, "env:OPENAI_API_KEY"),
        ({"FLYBALL_MODEL_KEY": "env:MY_KEY"}, "env:MY_KEY"),
        ({"FLYBALL_MODEL_KEY": "file:/run/key"}, "file:/run/key"),
        ({"FLYBALL_MODEL_KEY": "sk-literal"}, "env:FLYBALL_MODEL_KEY"),
        ({"FLYBALL_MODEL_BASE_URL": "http://x/v1", "OPENAI_API_KEY": "k"}, "env:OPENAI_API_KEY"),
        ({"FLYBALL_MODEL": "anthropic:m", "OPENAI_API_KEY": "k"}, "env:ANTHROPIC_API_KEY"),
        ({"FLYBALL_MODEL": "gemini:m"}, "env:GEMINI_API_KEY"),
        ({"FLYBALL_MODEL": "gemini:m", "FLYBALL_MODEL_BASE_URL": "http://x", "OPENAI_API_KEY": "k"}, ""),
    ],
)
def test_the_key_of_a_model_from_the_environment_is_a_handle(tmp_path: Path, more: dict[str, str], key: str) -> None:
    loaded = read(tmp_path, HEAD, environ={**HOME, "FLYBALL_MODEL": "openai:m", **more})
    assert loaded.config.models["default"].key == key and "sk-literal" not in repr(loaded)


@pytest.mark.parametrize("named", ["openai", "openai:", ":m", "scripted:m"])
def test_a_model_that_the_environment_does_not_name_whole_is_refused(tmp_path: Path, named: str) -> None:
    assert refused(tmp_path, HEAD, environ={**HOME, "FLYBALL_MODEL": named}).code in ("config_value", "config_missing")


@pytest.mark.parametrize(
    ("text", "environ"),
    [(HEAD + '[models.m]\nadapter = "opnai"\nmodel = "m"\n', {}), (HEAD, {"FLYBALL_MODEL": "opnai:m"})],
)
def test_an_adapter_that_is_not_known_is_refused_with_the_nearest(
    tmp_path: Path, text: str, environ: dict[str, str]
) -> None:
    bad = refused(tmp_path, text, environ={**HOME, **environ})
    assert (
        bad.code == "config_value"
        and bad.fix == "Did you mean openai?"
        and "openai, anthropic, gemini, scripted" in bad.why
    )


def test_a_cache_is_asked_for_with_true_or_false(tmp_path: Path) -> None:
    text = HEAD + '[models.m]\nadapter = "anthropic"\nmodel = "m"\ncache = '
    assert read(tmp_path, text + "true\n").config.models["m"].cache is True
    assert "true or false" in refused(tmp_path, text + "1\n").why


def test_a_bad_address_from_the_environment_names_its_variable(tmp_path: Path) -> None:
    environ = {**HOME, "FLYBALL_MODEL": "openai:m", "FLYBALL_MODEL_BASE_URL": "localhost"}
    assert "FLYBALL_MODEL_BASE_URL" in refused(tmp_path, HEAD, environ=environ).what


def test_a_bare_project_takes_its_model_from_the_environment(tmp_path: Path) -> None:
    loaded = bare("desk", tmp_path, "dev", {**HOME, "FLYBALL_MODEL": "openai:m"})
    assert loaded.config.env == "dev" and loaded.config.models["default"].model == "m" and loaded.file is None
    assert loaded.sources["project.name"] == "default"
    with pytest.raises(FlyballError, match="no name"):
        bare("../desk", tmp_path, environ=HOME)


def test_without_a_home_in_the_environment_it_is_that_of_the_user(tmp_path: Path) -> None:
    assert bare("desk", tmp_path, environ={}).config.signer.file.startswith(str(Path.home()))


def test_a_project_is_found_from_below(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find_project(deep) is None or tmp_path not in (find_project(deep) or Path()).parents
    (tmp_path / "flyball.toml").write_text(HEAD)
    assert find_project(deep) == tmp_path / "flyball.toml"


def test_what_was_loaded_can_be_written_and_never_holds_a_secret(tmp_path: Path) -> None:
    loaded = read(tmp_path, FULL, environ={**HOME, "SMTP_PASSWORD": "hunter2"})
    assert b"hunter2" not in msgspec.json.encode(loaded.config)


def test_a_route_is_read_with_its_rules_in_the_order_of_the_file(tmp_path: Path) -> None:
    route = read(tmp_path, EVERY).config.routes["smtp"]
    assert (route.name, route.models, route.prefer, route.deadline_ms) == ("smtp", ("small", "default"), "cost", 30_000)
    rule = route.rules["smtp"]
    assert (rule.complexity, rule.max_usd, rule.max_latency_ms, rule.prefer) == (600, 50_000, 4_000, "latency")


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ('[routes.r]\nmodels = ["m", "n"]', "[routes.r] models", "there is no [models.n]"),
        ('[routes.r]\nmodels = ["m"]\n[routes.r.rules.x]\nmodels = ["n"]', "[routes.r.rules.x] models", "no ["),
        ('[routes.m]\nmodels = ["m"]', "[routes] m", "there is a model m, too"),
        ("[routes.r]\ndeadline = \"1s\"", "[routes] r", "models is missing"),
        ('[routes.r]\nmodels = ["m"]\nprefer = "cheap"', "[routes.r] prefer", "'cheap' is none of"),
    ],
)  # fmt: skip
def test_a_route_that_leads_nowhere_is_refused_with_its_key(tmp_path: Path, text: str, key: str, said: str) -> None:
    with pytest.raises(FlyballError) as caught:
        read(tmp_path, HEAD + '[models.m]\nadapter = "openai"\nmodel = "m"\n' + text)
    assert key in str(caught.value) and said in str(caught.value)
