"""Every snippet of the README and the documentation is executed, or at least parsed, in the order in which it stands.

A document is a story: its blocks share one project directory, empty at first, one Python module and one environment.

    ```python title="desk.py"         written to the project; so are toml, cedar and text with a title
    ```python                         executed; await stands where it likes. `raises=CODE`: it must end in that error
    ```python listing                 compiled
    ```console                        what follows `$ ` is typed, the rest is what it prints. `# exit 4`: its exit code
    ```text output                    what the block before printed
    ```toml, cedar, json, sh          parsed, and checked as what it is
    <!-- example: refunds -->         the files of examples/refunds are the project; blocks with their titles are these

`...` in what is printed stands for anything; RUN, PENDING and DIGEST in what is typed for the last that was printed.
A block that needs a command or a name that is not there yet is left out: the test then skips and says what is missing.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import importlib
import inspect
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import click
import pytest

from flyball.adapters.config_toml import load
from flyball.adapters.config_toml.shape import TABLES
from flyball.adapters.model_scripted import parse_script
from flyball.adapters.policy_cedar.check import read, statements
from flyball.adapters.policy_cedar.shape import Policy, duplicates, shaped
from flyball.app.cases import read_cases
from flyball.core.errors import FlyballError
from flyball.core.prices import price_table
from flyball.doors.cli.commands import COMMANDS
from flyball.doors.cli.main import flyball as command_line
from flyball.doors.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^( *)```(\w+)([^\n]*)\n(.*?)^\1```\s*$", re.M | re.S)
EXAMPLE = re.compile(r"<!-- example: (\w+) -->")
LINK = re.compile(r"\]\(([^)\s]+)\)")
IDS = {
    "PENDING": re.compile(r"r-[0-9a-f]{20,32}/[@\d.]+[#?]\d+"),
    "RUN": re.compile(r"r-[0-9a-f]{20,32}"),
    "DIGEST": re.compile(r"\b[0-9a-f]{64}\b"),
}
ENDPOINT = "https://models.example/v1"
PARSED = ("toml", "cedar", "json", "sh", "mermaid", "text", "ini")


class Missing(Exception):
    """Something that a snippet uses and that is not there."""


@dataclass
class Block:
    """A fenced block: its language, the words after it, its text, and where it stands."""

    language: str
    info: str
    text: str
    where: str
    line: int

    def attribute(self, name: str) -> str:
        found = re.search(rf'{name}=("[^"]*"|\S+)', self.info)
        return found[1].strip('"') if found else ""


def blocks(document: Path) -> Iterator[Block]:
    text = document.read_text("utf-8")
    name = document.relative_to(ROOT).as_posix()
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        body = "".join(one[len(found[1]) :] for one in found[4].splitlines(keepends=True)) if found[1] else found[4]
        yield Block(found[2], found[3].strip(), body, f"{name}:{line}", line)


@dataclass
class Story:
    """One document being told: its directory, its module, its environment, what was printed last."""

    home: Path
    model: str
    module: ModuleType
    example: Path | None = None
    printed: str = ""
    ids: dict[str, str] = field(default_factory=dict)
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def tell(self, block: Block) -> None:
        if block.attribute("title"):
            self.write(block)
        elif block.language == "python":
            self.python(block)
        elif block.language == "console":
            self.console(block)
        elif block.info == "output":
            same(block, self.printed, block.text)
        parse(block)

    def write(self, block: Block) -> None:
        path = self.home / block.attribute("title")
        text = block.text.replace(ENDPOINT, self.model)
        if self.example is not None and path.exists():
            assert path.read_text("utf-8").strip() == text.strip(), f"{block.where} is not what {self.example} has"
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        forget(self.home)

    def python(self, block: Block) -> None:
        tree = ast.parse("\n" * block.line + block.text, block.where)
        for node in ast.walk(tree):
            known(node)
        code = compile(tree, block.where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if "listing" in block.info.split():
            return
        with Path(str(self.module.__file__)).open("a", encoding="utf-8") as file:
            file.write(block.text)
        wanted = block.attribute("raises")
        said = io.StringIO()
        with contextlib.redirect_stdout(said), ending(block, wanted):
            made = eval(code, self.module.__dict__)
            if inspect.iscoroutine(made):
                asyncio.run(made)
        self.heard(said.getvalue())

    def console(self, block: Block) -> None:
        for typed, expected in exchanges(block.text):
            line, _, code = typed.partition(" # exit ")
            for name, value in self.ids.items():
                line = re.sub(rf"\b{name}\b", value, line)
            status, said = self.type(line.rstrip().replace(ENDPOINT, self.model))
            if status != int(code or 0):
                pytest.fail(f"{block.where}: {typed} answered {status}\n{said}", pytrace=False)
            if expected:
                same(block, said, expected)
            self.heard(said)

    def type(self, line: str) -> tuple[int, str]:
        if found := re.fullmatch(r"export (\w+)=(.*)", line):
            os.environ[found[1]] = os.path.expandvars(os.path.expanduser(found[2].strip("'\"")))
            return 0, ""
        if found := re.fullmatch(r"cd (\S+)", line):
            os.chdir(found[1])
            return 0, ""
        plain = re.fullmatch(r"((?:\w+=\S+ )*)flyball ([^|<>&`$]*)(?:> (\S+))?", line)
        for words in re.findall(r"\bflyball ([a-z][^|<>&`$]*)", line):
            command(words.replace('"', "").split())
        if plain:
            status, said = flyball(plain[1], shlex.split(plain[2]))
            if not plain[3]:
                return status, said
            self.heard(said)
            Path(plain[3]).write_text(said, "utf-8")
            return status, ""
        if line.endswith("&"):
            self.running.append(subprocess.Popen(["bash", "-c", f"exec {line[:-1]}"], text=True, cwd=self.home))
            return 0, ""
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    def heard(self, said: str) -> None:
        self.printed = said
        for name, pattern in IDS.items():
            for found in pattern.findall(said):
                self.ids[name] = found


def exchanges(text: str) -> Iterator[tuple[str, str]]:
    """What is typed, and what is printed after it."""
    typed, said = "", ""
    for line in text.splitlines(keepends=True):
        if line.startswith("$ "):
            if typed:
                yield typed, said
            typed, said = line[2:].strip(), ""
        else:
            said += line
    yield typed, said


def flyball(assigned: str, words: list[str]) -> tuple[int, str]:
    """One call of the command line, in this process: starting one costs more than most commands."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        for one in assigned.split():
            name, _, value = one.partition("=")
            patch.setenv(name, os.path.expandvars(os.path.expanduser(value)))
        patch.setenv("COLUMNS", "200")
        forget(Path.cwd())
        status = main(words)
    return int(status), said.getvalue()


def command(words: list[str]) -> None:
    """Passes where the command and its options are there."""
    found: click.Command = command_line
    context = click.Context(found)
    for word in words:
        if not isinstance(found, click.Group):
            break
        if word.startswith("-"):
            continue
        if found is command_line and word not in COMMANDS:
            raise Missing(f"flyball {word}")
        try:
            inner = found.get_command(context, word)
        except ModuleNotFoundError:
            inner = None
        if inner is None:
            raise Missing(f"flyball {' '.join(words[:2])}")
        found = inner
    options = {option for parameter in found.params for option in parameter.opts}
    strange = [word for word in words if word.startswith("--") and word.partition("=")[0] not in {*options, "--help"}]
    if found is not command_line and strange:
        raise Missing(f"flyball {' '.join(words[:2])} {strange[0]}")


def known(node: ast.AST) -> None:
    """Passes where what a snippet imports from the package is there."""
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "flyball":
        try:
            module = importlib.import_module(str(node.module))
        except ModuleNotFoundError as missing:
            raise Missing(str(missing)) from missing
        for each in node.names:
            if not hasattr(module, each.name):
                raise Missing(f"{node.module}.{each.name}")


def forget(home: Path) -> None:
    """Modules of a project that was changed are imported anew."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(f"{home}{os.sep}") and not name.startswith("story_"):
            del sys.modules[name]
    importlib.invalidate_caches()


@contextlib.contextmanager
def ending(block: Block, wanted: str) -> Iterator[None]:
    """A snippet that must end in the error of this code, or in none."""
    try:
        yield
    except FlyballError as error:
        if error.code != wanted:
            raise
    else:
        assert not wanted, f"{block.where} raised nothing"


def same(block: Block, said: str, expected: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if not doctest.OutputChecker().check_output(expected, said, flags):
        pytest.fail(f"{block.where} prints\n{said}", pytrace=False)


def parse(block: Block) -> None:
    if block.language == "toml":
        toml(block)
    elif block.language == "cedar":
        cedar(block)
    elif block.language == "json":
        json.loads(block.text)
    elif block.language == "sh":
        assert subprocess.run(["bash", "-n", "-c", block.text], capture_output=True, check=False).returncode == 0
        for words in re.findall(r"(?m)^(?:\w+=\S+ )*flyball ([a-z][^|<>&`$\n#]*)", block.text):
            command(shlex.split(words))
        targets = re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"))
        assert set(re.findall(r"(?m)^make ([a-z]+)", block.text)) <= set(targets), block.where
    else:
        assert block.language in ("python", "console", *PARSED), f"{block.where}: {block.language} is not known here"


def toml(block: Block) -> None:
    data = tomllib.loads(block.text)
    if "case" in data:
        assert read_cases(block.where, block.text)
    elif "reply" in data:
        parse_script(block.text, "docs")
    elif "prices" in data and not isinstance(data["prices"], dict):
        price_table(data)
    else:
        assert data.keys() <= {*TABLES, "flyball", "env"}, block.where
        begin = "" if "flyball" in data else "flyball = 1\n"
        named = "" if "project" in data else '[project]\nname = "docs"\n'
        path = Path.cwd() / ".checked" / "flyball.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{begin}{block.text}\n{named}", "utf-8")
        load(path, environ={"HOME": str(Path.cwd())})


def cedar(block: Block) -> None:
    policies: list[Policy] = []
    for statement in statements(block.text):
        est, faults = read(statement, None)
        assert est is not None and not faults, f"{block.where}: {faults}"
        policy = shaped(est, block.where, "project")
        assert isinstance(policy, Policy), f"{block.where}: {policy}"
        policies.append(policy)
    assert policies and not duplicates(policies), block.where


class Provider(BaseHTTPRequestHandler):
    """An endpoint that speaks as it is asked: proposes the first tool once, then answers in words."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        speaks = {"messages": self.messages, "completions": self.completions}.get(self.path.rpartition("/")[2])
        body = json.dumps((speaks or self.generated)(asked)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def messages(self, asked: dict[str, Any]) -> dict[str, Any]:
        told = [b["content"] for m in asked["messages"] for b in m["content"] if b["type"] == "tool_result"]
        use = {"type": "tool_use", "id": "1", "name": "count_words", "input": {"path": "README.md"}}
        text = {"type": "text", "text": f"It has {told[0]} words." if told else ""}
        ending, usage = "end_turn" if told else "tool_use", {"input_tokens": 90, "output_tokens": 10}
        return {"model": asked["model"], "content": [text if told else use], "stop_reason": ending, "usage": usage}

    def generated(self, asked: dict[str, Any]) -> dict[str, Any]:
        parts = [part for content in asked["contents"] for part in content["parts"]]
        told = [p["functionResponse"]["response"]["output"] for p in parts if "functionResponse" in p]
        call = {"functionCall": {"name": "count_words", "args": {"path": "README.md"}}, "thoughtSignature": "c2ln"}
        content = {"role": "model", "parts": [{"text": f"It has {told[0]} words."} if told else call]}
        usage = {"promptTokenCount": 90, "candidatesTokenCount": 10}
        return {"candidates": [{"content": content, "finishReason": "STOP"}], "usageMetadata": usage}

    def completions(self, asked: dict[str, Any]) -> dict[str, Any]:
        results = [m["content"] for m in asked["messages"] if m["role"] == "tool"]
        tools = [t["function"]["name"] for t in asked.get("tools", ()) if t["function"]["name"] == "count_words"]
        message: dict[str, Any] = {"role": "assistant", "content": f"It has {(results or ['some'])[-1]} words."}
        if tools and not results:
            function = {"name": tools[0], "arguments": '{"path": "README.md"}'}
            message = {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": function}]}
        finish = "tool_calls" if "tool_calls" in message else "stop"
        return {
            "id": "1", "model": asked["model"], "usage": {"prompt_tokens": 90, "completion_tokens": 10},
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        }  # fmt: skip

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="session")
def provider() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


@pytest.fixture
def story(tmp_path: Path, provider: str) -> Iterator[Story]:
    home, project = tmp_path / "home", tmp_path / "desk"
    home.mkdir()
    project.mkdir()
    module = ModuleType(f"story_{tmp_path.name}")
    module.__file__ = str(project / "story.py")
    environ, path, modules, here = dict(os.environ), list(sys.path), dict(sys.modules), Path.cwd()
    forget(ROOT / "examples")
    sys.path.insert(0, str(project))
    own = f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', '')}"
    os.environ |= {"HOME": str(home), "PATH": own, "NO_COLOR": "1"}
    sys.modules[module.__name__] = module
    told = Story(project, provider, module)
    os.chdir(project)
    yield told
    for each in told.running:
        each.kill()
        each.wait()
    os.chdir(here)
    os.environ.clear()
    os.environ.update(environ)
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
    sys.modules.update(modules)


@pytest.mark.promise("api-documentation-is-true")
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_snippets_are_true(document: Path, story: Story) -> None:
    if found := EXAMPLE.search(document.read_text("utf-8")):
        story.example = ROOT / "examples" / found[1]
        shutil.copytree(story.example, story.home, dirs_exist_ok=True)
    for block in blocks(document):
        story.tell(block)


@pytest.mark.promise("api-documentation-is-true")
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    text = FENCE.sub("", document.read_text("utf-8"))
    local = [link.partition("#") for link in LINK.findall(text) if not re.match(r"\w+:", link)]
    gone = [place for place, _, _ in local if place and not (document.parent / place).exists()]
    lost = [
        f"{place}#{anchor}" for place, _, anchor in local
        if anchor and anchor not in anchors(document.parent / place if place else document)
    ]  # fmt: skip
    assert [*gone, *lost] == []


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    if document.suffix != ".md" or not document.is_file():
        return set()
    headings = re.findall(r"(?m)^#+ (.*)$", FENCE.sub("", document.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
