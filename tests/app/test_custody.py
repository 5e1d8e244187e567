"""A project that was moved: its keys lie under the name of its old place, and the error says how to name them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from flyball.adapters.config_toml import load
from flyball.app.custody import root_of, signer_of
from flyball.core.errors import FlyballError

TOML = 'flyball = 1\n[project]\nname = "desk"\n'


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    """A project whose keys were made where it stood before."""
    old, home = tmp_path / "old", {"HOME": str(tmp_path / "home")}
    old.mkdir()
    (old / "flyball.toml").write_text(TOML)
    config = load(old, environ=home).config
    root_of(config, create=True)
    signer_of(config, create=True)
    return old.rename(tmp_path / "new")


def test_a_moved_project_is_told_where_its_keys_are_and_finds_them_when_they_are_named(moved: Path) -> None:
    home = {"HOME": str(moved.parent / "home")}
    config = load(moved, environ=home).config
    with pytest.raises(FlyballError, match="may have been moved") as root:
        root_of(config, create=False)
    with pytest.raises(FlyballError, match="may have been moved") as signer:
        signer_of(config, create=False)
    assert root.value.fix == signer.value.fix and root.value.code == "root_key_missing"
    named = re.findall(r'(\[\w+\]) (\w+ = "[^"]+")', root.value.fix)
    (moved / "flyball.toml").write_text(TOML + "".join(f"{table}\n{line}\n" for table, line in named))
    told = load(moved, environ=home).config
    assert len(root_of(told, create=False)) == 32 and signer_of(told, create=False).verifier_key().startswith("desk+")


def test_where_nothing_of_that_name_lies_there_only_the_move_is_told(moved: Path) -> None:
    config = load(moved, environ={"HOME": str(moved.parent / "elsewhere")}).config
    with pytest.raises(FlyballError, match="Move the project back") as caught:
        root_of(config, create=False)
    assert "lies" not in caught.value.why


def test_of_several_the_right_one_is_left_to_the_reader(moved: Path) -> None:
    home = moved.parent / "home"
    found = next(home.rglob("*.root"))
    os.link(found, found.with_name("desk-000000000000.root"))
    config = load(moved, environ={"HOME": str(home)}).config
    with pytest.raises(FlyballError, match=r"desk-000000000000.root, desk-\w+.root") as caught:
        root_of(config, create=False)
    assert "desk-....root" in caught.value.fix


def test_a_named_key_that_is_missing_keeps_its_own_words(moved: Path) -> None:
    (moved / "flyball.toml").write_text(TOML + '[keys]\nroot = "file:lost.root"\n[signer]\nfile = "lost.signer"\n')
    config = load(moved).config
    for read in (root_of, signer_of):
        with pytest.raises(FlyballError, match="Restore it") as caught:
            read(config, create=False)
        assert "moved" not in caught.value.why
