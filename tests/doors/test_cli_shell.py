"""The shell of the command line: shared options, output, errors, exit codes, and the commands that need no runtime."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.errors import FlyballError
from flyball.core.stop import STOPS
from flyball.doors.cli import commands, main
from flyball.doors.cli.exit_code import ExitCode, exit_code
from flyball.doors.cli.output import screen, visible
from flyball.doors.cli.shell import Shell, pass_shell

HEAD = 'flyball = 1\n[project]\nname = "desk"\n'
HEAVY = ("rich", "aiohttp", "cedarpy", "msgspec", "cryptography", "asyncio", "sqlite3")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("FLYBALL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts one function in the place of a command."""

    def put(body: Any) -> None:
        command = click.command("config")(pass_shell(body))
        monkeypatch.setattr(commands, "import_module", lambda _: type("Module", (), {"command": command}))

    return put


def flyball(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main.main(args)
    caught = capsys.readouterr()
    return int(code), caught.out, caught.err


def process(*args: str, script: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    source = script or "import sys; from flyball.doors.cli.main import main; sys.exit(main())"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", source, *args], env=env, text=True, timeout=60, **options)


def test_version_and_help_import_nothing_heavy() -> None:
    script = (
        "import sys; before = set(sys.modules); from flyball.doors.cli.main import main;"
        "main(['--version']); main(['--help']);"
        f"print([m for m in {HEAVY} if m in sys.modules and m not in before])"
    )
    assert process(script=script, stdout=subprocess.PIPE).stdout.endswith("[]\n")


def test_the_version_is_said_to_people_and_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert flyball(capsys, "--version")[1].startswith("flyball ")
    for args in (("--version", "--json"), ("--json", "--version")):
        assert json.loads(flyball(capsys, *args)[1]).keys() == {"flyball", "kind", "version"}


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = flyball(capsys, "--help")
    assert code == 0 and all(f"  {name} " in out for name in commands.COMMANDS)


def test_every_row_of_the_table_is_a_command_with_the_shared_options() -> None:
    group = main.flyball
    assert group.get_command(click.Context(group), "confg") is None
    for name in commands.COMMANDS:
        command = group.get_command(click.Context(group), name)
        assert command is not None and command.name == name
        again = group.get_command(click.Context(group), name)
        assert again is not None and [o for p in again.params for o in p.opts].count("--json") == 1


def test_a_group_by_itself_is_answered_with_its_help_and_not_with_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = flyball(capsys, "policy")
    assert (code, out) == (ExitCode.USAGE, "") and "Commands:" in err and "error:" not in err


def test_no_command_at_all_is_answered_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = flyball(capsys)
    assert (code, out) == (ExitCode.USAGE, "") and "Commands:" in err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("confg",), "there is no command 'confg'. Did you mean config?"),
        (("qqqqqq",), "there is no command 'qqqqqq'\n"),
        (("--porject", "x"), "No such option"),
        (("key", "create"), "Missing argument 'NAME'"),
        (("key", "create", "anna", "--group", "a/b"), "no name of a group"),
    ],
)
def test_wrong_usage_says_what_is_wrong(capsys: pytest.CaptureFixture[str], args: tuple[str, ...], said: str) -> None:
    code, out, err = flyball(capsys, *args)
    assert (code, out) == (2, "") and said in err and "fix: See: flyball" in err


def test_an_error_is_json_where_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    for args in (("--json", "confg"), ("config", "show", "--nope", "--json"), ("config", "--json", "show")):
        code, out, err = flyball(capsys, *args)
        error = json.loads(err)
        assert out == "" and error["kind"] == "error" and error["flyball"] == 1 and error["exit"] == code == 2


@pytest.mark.promise("api-errors-say-what-why-fix")
def test_an_error_says_what_why_and_how_to_fix_it(capsys: pytest.CaptureFixture[str], trial: Any) -> None:
    def denied(_: Shell) -> None:
        raise FlyballError("policy_denied", "refund is denied\x1b[2J", "over_limit", "Ask finance.")

    trial(denied)
    assert flyball(capsys, "config") == (
        3, "", "error: refund is denied<U+001B>[2J\n  why: over_limit\n  fix: Ask finance.\n"
    )  # fmt: skip


def test_a_command_answers_with_its_exit_code(capsys: pytest.CaptureFixture[str], trial: Any) -> None:
    trial(lambda _: ExitCode.WAITING)
    assert flyball(capsys, "config")[0] == 4
    trial(lambda _: None)
    assert flyball(capsys, "config")[0] == 0
    trial(lambda _: click.get_current_context().exit(7))
    assert flyball(capsys, "config")[0] == 7


@pytest.mark.parametrize("stop", [KeyboardInterrupt, click.Abort, EOFError])
def test_an_interrupt_is_quiet(capsys: pytest.CaptureFixture[str], trial: Any, stop: type[BaseException]) -> None:
    def interrupted(_: Shell) -> None:
        raise stop

    trial(interrupted)
    assert flyball(capsys, "config") == (130, "", "")


def test_a_bug_is_a_sentence_and_a_traceback_on_request(
    capsys: pytest.CaptureFixture[str], trial: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Shell) -> None:
        raise RuntimeError("oops")

    trial(broken)
    code, _, err = flyball(capsys, "config")
    assert code == 1 and "RuntimeError: oops" in err and "Traceback" not in err
    monkeypatch.setenv("FLYBALL_DEBUG", "1")
    assert "Traceback" in flyball(capsys, "config")[2]


def test_a_reader_that_went_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    for args in (("--version",), ("--help",)):
        done = process(*args, stdout=writer, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr) == (141, "")
    os.close(writer)


def test_a_terminal_without_the_character_gets_an_escape(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    (place / "flyball.toml").write_text(HEAD + '[tenants.acme.settings]\nname = "Żubr"\n', encoding="utf-8")
    done = process("config", "show", stdout=subprocess.PIPE)
    assert done.returncode == 0 and r"\u017bubr" in done.stdout


def test_completion_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_FLYBALL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "flyball con")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert process(stdout=subprocess.PIPE).stdout == "plain,config\n"


@pytest.mark.parametrize("reason", STOPS)
def test_a_stop_reason_brings_its_own_exit_code(reason: Any) -> None:
    code = exit_code(FlyballError(reason, "x"))
    assert code == (STOPS[reason].exit_code or ExitCode.FAILURE)


def test_an_error_that_is_not_in_the_table_is_a_failure() -> None:
    assert exit_code(FlyballError("config_type", "x")) == ExitCode.USAGE
    assert exit_code(FlyballError("never_heard", "x")) == ExitCode.FAILURE


@given(st.text())
def test_visible_text_keeps_its_words_and_loses_what_steers(text: str) -> None:
    shown = visible(text)
    assert all(c == "\n" or (c.isprintable() or c.isspace()) for c in shown)
    assert visible(shown) == shown


@pytest.mark.parametrize("hidden", ["\x1b", "\r", "\u202e", "\u200b", "\U000e0041", "\u2028", "\x9b", "\ue000"])
def test_what_steers_or_hides_is_written_out(hidden: str) -> None:
    assert visible(f"a{hidden}b") == f"a<U+{ord(hidden):04X}>b"


def test_a_terminal_is_coloured_and_brackets_stay_brackets() -> None:
    out = Terminal()
    paper = screen(as_json=False, out=out, err=out, environ={"TERM": "xterm"})
    paper.line("[bold]pay[/bold] :smile:", "bad")
    paper.table(("name",), [("[red]x[/red]",)])
    assert "[bold]pay[/bold] :smile:" in out.getvalue() and "[red]x[/red]" in out.getvalue()


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_that_wants_no_colour_gets_plain_text(environ: dict[str, str]) -> None:
    out = Terminal()
    screen(as_json=False, out=out, err=out, environ=environ).line("hello", "bad")
    assert out.getvalue() == "hello\n"


def test_a_table_in_a_pipe_is_aligned_and_each_cell_is_one_line() -> None:
    out = io.StringIO()
    screen(as_json=False, out=out, err=out, environ={}).table(("run", "what"), [("r-1", "a\nb"), ("r-22", 3)])
    assert out.getvalue() == "RUN   WHAT\nr-1   a\\nb\nr-22  3\n"


def test_an_envelope_is_one_ascii_line() -> None:
    out = io.StringIO()
    screen(as_json=True, out=out, err=out, environ={}).envelope("run", {"text": "é\n\u202e"})
    assert out.getvalue() == '{"flyball": 1, "kind": "run", "text": "\\u00e9\\n\\u202e"}\n'


@pytest.mark.promise("api-overlays-say-their-source")
def test_config_show_says_every_value_and_its_source(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "flyball.toml").write_text(HEAD + "[env.prod.input]\nmax_bytes = 5\n")
    (place / "deep").mkdir()
    os.chdir(place / "deep")
    code, out, _ = flyball(capsys, "--env", "prod", "config", "show", "--sources")
    assert code == 0 and f"# {place / 'flyball.toml'}, env prod\n" in out
    assert "# env.prod (flyball.toml:5)\n" in out and 'project.name = "desk"' in out
    assert "env.prod (" not in flyball(capsys, "config", "show", "--env", "prod")[1]


def test_config_show_is_versioned_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "flyball.toml").write_text(HEAD)
    for args in (("config", "show", "--json", "--sources"), ("--json", "config", "show", "--sources")):
        data = json.loads(flyball(capsys, *args)[1])
        assert (data["flyball"], data["kind"], data["values"]["project.name"]) == (1, "config", "desk")
        assert data["sources"]["project.name"] == "flyball.toml:3" and data["sources"].keys() == data["values"].keys()


def test_a_project_is_named_by_file_directory_or_journal(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "a" / ".flyball").mkdir(parents=True)
    (place / "a" / "flyball.toml").write_text(HEAD)
    (place / "a" / ".flyball" / "notes.db").touch()
    names = {"a": "desk", "a/flyball.toml": "desk", "a/.flyball/notes.db": "notes"}
    for path, name in names.items():
        assert f'project.name = "{name}"' in flyball(capsys, "config", "show", "--project", path)[1]


def test_a_lone_journal_is_the_project_and_several_are_a_question(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / ".flyball").mkdir()
    assert flyball(capsys, "config", "show")[0] == 2
    (place / ".flyball" / "notes.db").touch()
    assert 'project.name = "notes"' in flyball(capsys, "config", "show")[1]
    (place / ".flyball" / "other.db").touch()
    code, _, err = flyball(capsys, "config", "show")
    assert code == 2 and ".flyball/notes.db, .flyball/other.db" in err


def test_a_key_is_made_once_and_listed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = json.loads(flyball(capsys, "key", "create", "anna", "--group", "finance", "--json")[1])
    assert (made["principal"], made["groups"]) == ("user:anna", ["finance"])
    assert Path(made["file"]) == place / "home" / ".config" / "flyball" / "keys" / "anna.key"
    assert flyball(capsys, "key", "create", "anna")[0] == 1
    listed = json.loads(flyball(capsys, "key", "list", "--json")[1])["keys"]
    assert [(k["name"], k["key"], k["problem"]) for k in listed] == [("anna", made["key"], None)]
    assert made["key"] in flyball(capsys, "key", "list")[1]


def test_a_key_that_cannot_be_used_is_listed_with_its_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no keys in" in flyball(capsys, "key", "list")[1]
    _, out, _ = flyball(capsys, "key", "create", "anna")
    assert "export FLYBALL_KEY=" in out
    path = Path(os.environ["HOME"]) / ".config" / "flyball" / "keys" / "anna.key"
    path.chmod(0o644)
    assert "chmod 600" in flyball(capsys, "key", "list")[1]


def test_no_output_holds_a_private_key(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = [flyball(capsys, "key", *args)[1:] for args in (("create", "anna"), ("list",), ("list", "--json"))]
    text = (place / "home" / ".config" / "flyball" / "keys" / "anna.key").read_text().split()[2]
    assert text not in str(said)
