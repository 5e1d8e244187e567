"""Prompts: files beside the code that names them, read when it is imported."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from flyball import FlyballError

CODE = "from flyball import prompt\nTEXT = prompt('words/writer.md')\n"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    (tmp_path / "words").mkdir()
    (tmp_path / "writer.py").write_text(CODE)
    return tmp_path / "writer.py"


@pytest.mark.promise("api-prompts-are-files")
def test_a_prompt_is_found_from_the_file_that_names_it(module: Path) -> None:
    (module.parent / "words" / "writer.md").write_text("Be brief.")
    assert runpy.run_path(str(module))["TEXT"].text == "Be brief."


@pytest.mark.promise("api-prompts-are-files")
def test_a_prompt_that_is_not_there_is_an_error_at_import_that_says_where_it_should_be(module: Path) -> None:
    with pytest.raises(FlyballError) as refused:
        runpy.run_path(str(module))
    assert refused.value.code == "no_prompt" and str(module.parent / "words" / "writer.md") in refused.value.fix
