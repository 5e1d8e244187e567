"""A seeded desk and a real mail server, for the tests of this project."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from bench import HERE, Desk
from mailer import mailer_at
from seed import seed


@pytest.fixture(scope="session")
def mail_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A mail server in a process of its own: its port and its folder."""
    folder = tmp_path_factory.mktemp("mail")
    command = [sys.executable, str(HERE / "smtp_server.py"), str(folder), "--until-eof"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline().rpartition(":")[2]), folder
        assert server.stdin is not None
        server.stdin.close()
        server.wait(10)


@pytest.fixture
def desk(tmp_path: Path, mail_port: tuple[int, Path]) -> Iterator[Desk]:
    """A fresh CRM and fresh documents; the mail server is shared, so tests ask for their own keys."""
    seed(tmp_path)
    post = mailer_at("127.0.0.1", mail_port[0], mail_port[1])
    with closing(sqlite3.connect(tmp_path / "crm.db", check_same_thread=False)) as db:
        db.row_factory = sqlite3.Row
        yield Desk(tmp_path, db, post, post.store)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project that a test may change."""
    left_out = shutil.ignore_patterns(".demo", "__pycache__", "tests", ".pytest_cache")
    return Path(shutil.copytree(HERE, tmp_path / "desk", ignore=left_out))
