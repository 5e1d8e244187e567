"""What users get: the built wheel, alone in a new environment outside the repository."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = {".cedar", ".sql", ".tmpl", ".toml"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_every_file_of_the_package_is_in_it(wheel: Path) -> None:
    source = ROOT / "src"
    wanted = {f.relative_to(source).as_posix() for f in source.rglob("*") if f.suffix in DATA | {".py", ".typed"}}
    assert wanted <= set(zipfile.ZipFile(wheel).namelist())


def test_nothing_else_is_in_it(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top.split("-")[0] for top in tops} == {"flyball"}


def test_it_runs_outside_the_repository(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--require-hashes", "-r", ROOT / "requirements" / "runtime.txt"], check=True, cwd=tmp_path)
    subprocess.run([*pip, "--no-deps", wheel], check=True, cwd=tmp_path)
    flyball = [tmp_path / "venv" / "bin" / "flyball", "--version"]
    said = subprocess.run(flyball, check=True, cwd=tmp_path, capture_output=True, text=True)
    assert wheel.name.split("-")[1] in said.stdout
