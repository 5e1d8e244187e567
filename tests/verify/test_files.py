from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest

from flyball.core.errors import FlyballError
from flyball.verify import files as module
from flyball.verify.files import Files


@pytest.fixture
def export(tmp_path: Path) -> Path:
    (tmp_path / "tile" / "0").mkdir(parents=True)
    (tmp_path / "tile" / "0" / "000").write_bytes(b"hashes")
    (tmp_path / "checkpoint").write_bytes(b"head")
    (tmp_path / "manifest.json").write_bytes(b"{}")
    return tmp_path


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


LISTED = {"checkpoint": digest(b"head"), "tile/0/000": digest(b"hashes")}


def findings(files: Files) -> tuple[str, ...]:
    return files.findings.check("").findings


def test_regular_files_are_listed_and_read(export: Path) -> None:
    files = Files(export)
    assert files.paths == {"checkpoint", "manifest.json", "tile/0/000"}
    assert files.under("tile") == ["tile/0/000"]
    assert files.read("tile/0/000") == b"hashes"
    assert files.read("absent") is None
    files.compare(LISTED)
    assert findings(files) == ()


def test_a_file_missing_added_or_changed_is_named(export: Path) -> None:
    (export / "tile" / "0" / "000").write_bytes(b"other")
    (export / "extra").write_bytes(b"")
    files = Files(export)
    files.compare({**LISTED, "vkey": digest(b"")})
    assert findings(files) == (
        "vkey is missing", "extra is not in the manifest", "tile/0/000 is not the file that the manifest lists",
    )  # fmt: skip


def test_links_and_pipes_are_never_opened(export: Path) -> None:
    os.mkfifo(export / "pipe")
    (export / "link").symlink_to("/etc/hostname")
    (export / "folder").symlink_to("/etc")
    files = Files(export)
    assert sorted(findings(files)) == [f"{name} is no regular file" for name in ("folder", "link", "pipe")]
    assert files.read("link") is None


def test_a_file_exchanged_for_a_link_is_not_followed(export: Path) -> None:
    files = Files(export)
    (export / "checkpoint").unlink()
    (export / "checkpoint").symlink_to("/etc/hostname")
    assert files.read("checkpoint") is None
    assert "checkpoint cannot be read" in findings(files)[0]


def test_a_huge_file_is_not_swallowed(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILE", 3)
    files = Files(export)
    assert files.read("checkpoint") is None
    files.compare(LISTED)
    assert any("has more than 3 bytes" in one for one in findings(files))


def test_a_deep_tree_of_folders_ends(export: Path) -> None:
    (export / "/".join("d" * 20)).mkdir(parents=True)
    assert "nested too deeply" in findings(Files(export))[0]


def test_what_is_no_export_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(FlyballError) as refused:
            Files(path)
        assert refused.value.code == "not_an_export"
