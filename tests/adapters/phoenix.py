"""The desk's story in a real Phoenix: every span that was sent is there once, as what it is. `make phoenix`.

    python -m tests.adapters.phoenix PROGRAM

PROGRAM is Phoenix's own command, from an environment of its own. It keeps what it is sent in a folder that is gone
afterwards, and so does the desk.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TELEMETRY = '\n[telemetry.phoenix]\npreset = "phoenix"\nurl = "{url}"\nproject = "desk"\n'
KINDS = {"AGENT", "CHAIN", "LLM", "RETRIEVER", "TOOL"}
PATIENCE = 120.0


def main(program: str) -> None:
    """Plays the story and compares what was sent with what Phoenix has; raises AssertionError."""
    with tempfile.TemporaryDirectory() as place, phoenix(program, Path(place) / "phoenix") as url:
        desk = Path(place) / "desk"
        shutil.copytree(ROOT / "examples" / "proposal_desk", desk, ignore=shutil.ignore_patterns(".demo"))
        with (desk / "flyball.toml").open("a", encoding="utf-8") as file:
            file.write(TELEMETRY.format(url=url))
        subprocess.run([sys.executable, "demo.py"], cwd=desk, check=True, stdout=subprocess.DEVNULL)
        for _ in range(2):  # what was sent before is sent again, and changes nothing
            command(desk, "export")
        [told] = command(desk, "status")["exporters"]
        spans = asked(f"{url}/v1/projects/desk/spans?limit=1000")["data"]
    ids = {span["context"]["span_id"] for span in spans}
    assert (len(ids), told["behind"], told["trouble"]) == (told["sent"], 0, ""), (len(ids), told)
    assert len(spans) == len(ids), "a span is there twice"
    assert not [s["name"] for s in spans if s["parent_id"] and s["parent_id"] not in ids], "a span hangs nowhere"
    assert {span["span_kind"] for span in spans} == KINDS
    assert {span["status_code"] for span in spans} == {"OK", "ERROR"}
    shown = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(s["span_kind"] for s in spans).items()))
    sys.stdout.write(f"{len(spans)} spans in Phoenix, once each: {shown}\n")


@contextmanager
def phoenix(program: str, place: Path) -> Iterator[str]:
    """A Phoenix on free ports of 127.0.0.1, until the context ends."""
    port, grpc = free(), free()
    env = os.environ | {
        "PHOENIX_WORKING_DIR": str(place), "PHOENIX_HOST": "127.0.0.1", "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc), "PHOENIX_TELEMETRY_ENABLED": "false",
    }  # fmt: skip
    place.mkdir()
    with (place / "log").open("wb") as log:
        server = subprocess.Popen([program, "serve"], env=env, stdout=log, stderr=log)
    url, ends = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
    try:
        while not answers(f"{url}/v1/projects"):
            assert server.poll() is None and time.monotonic() < ends, (place / "log").read_text("utf-8")[-2_000:]
            time.sleep(0.5)
        yield url
    finally:
        server.terminate()
        server.wait(30)


def free() -> int:
    """A port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def answers(url: str) -> bool:
    """Does anybody answer there?"""
    try:
        asked(url)
    except OSError:
        return False
    return True


def asked(url: str) -> Any:
    """What is answered there."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def command(desk: Path, *words: str) -> dict[str, Any]:
    """What `flyball telemetry` says in the desk's folder."""
    line = [sys.executable, "-m", "flyball", "telemetry", *words, "--json"]
    done = subprocess.run(line, cwd=desk, check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
    return told


if __name__ == "__main__":
    main(sys.argv[1])
