"""`flyball init`: what it writes runs at once, and nothing is overwritten."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flyball.doors.cli.init import TEMPLATES, texts_of
from flyball.doors.cli.main import main
from tests.doors.desk import forget_modules

STARTS = {
    "desk": ("offer", "C-1"),
    "support": ("ticket", '{"order": "A-17", "text": "The lamp came broken."}'),
    "data": ("report", "How did orders do?"),
    "empty": ("answer", "How many words are in: one two three?"),
}


@pytest.mark.promise("api-init")
@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_runs_at_once(
    template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "my-desk", "--template", template]) == 0
    monkeypatch.chdir(tmp_path / "my-desk")
    with forget_modules("tools", "agents", "flows"):
        for words in (["policy", "check"], ["policy", "test"], ["doctor"], ["run", *STARTS[template]]):
            assert main(words) == 0, capsys.readouterr()
    readme = (tmp_path / "my-desk" / "README.md").read_text()
    assert f"flyball run {STARTS[template][0]}" in readme and "NAME" not in readme


@pytest.mark.promise("api-init")
@pytest.mark.parametrize("template", TEMPLATES)
def test_its_own_tests_pass(template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "desk", "--template", template]) == 0
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"], cwd=tmp_path / "desk",
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0 and "passed" in told.stdout, told.stdout + told.stderr


@pytest.mark.promise("api-init")
def test_nothing_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "desk").mkdir()
    assert main(["init", "desk"]) == 1 and list((tmp_path / "desk").iterdir()) == []
    assert "nothing of yours is overwritten" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "said"), [(("a/b",), "is no name"), (("x", "--template", "shop"), "'shop' is not")])
def test_what_is_no_name_or_template_is_refused(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["init", *words]) == 2 and list(tmp_path.iterdir()) == []
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_whole(template: str) -> None:
    made = texts_of(template, "my-desk")
    assert {
        "flyball.toml", "tools.py", "agents.py", "flows.py", "policies/my_desk.cedar", "policies/my_desk.test.toml",
        "scripts/demo.toml", "tests/test_my_desk.py", ".github/workflows/check.yml", ".gitignore", "pytest.ini",
        "README.md",
    } <= made.keys()  # fmt: skip
    assert not any("NAME" in text for text in made.values()) and any(name.startswith("prompts/") for name in made)
