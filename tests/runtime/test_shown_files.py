"""Files before models: what of an input and of results is shown, to whom, and what a model is told that takes none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from flyball import Artifact, Call, Completed, Principal, Stopped, Trusted, agent, tool
from flyball.core import config
from flyball.core.model import ModelConfig, ModelRequest
from flyball.testing import Lab, Say, propose
from flyball.testing.script import Answer

KIM = Principal("user:kim", tenant="acme")
READS = '@id("read") permit (principal, action in Action::"read", resource);\n'
SECRET = """
@id("not-elsewhere") forbid (principal, action == Action::"model", resource)
when { context.input.sensitivity == "restricted" };
"""
PNG = b"\x89PNG the picture"


@dataclass
class Question:
    text: str
    pictures: list[Artifact]


@tool(effect="read")
async def photo(call: Call, of: str) -> Trusted[Artifact]:
    """A picture."""
    return await call.artifacts.put(PNG, name=f"{of}.png", media_type="image/png")


@tool(effect="read")
async def table(call: Call, of: str) -> Trusted[Artifact]:
    """Numbers, which no model looks at as a file."""
    return await call.artifacts.put(b"a,b", name="t.csv", media_type="text/csv")


viewer = agent("viewer", instructions="Look.", input=Question, tools=[photo, table])


def desk(
    *answers: Any, policy: str = READS, models: dict[str, ModelConfig] | None = None
) -> tuple[Lab, list[ModelRequest]]:
    asked: list[ModelRequest] = []

    def keeping(answer: Answer) -> Any:
        def answered(request: ModelRequest) -> Answer:
            asked.append(request)
            return answer

        return answered

    made = replace(config.Config.bare("lab", "/nowhere", home="/nowhere"), models=models or {})
    return Lab(policies=policy, by=KIM, config=made, models={"viewer": [keeping(a) for a in answers]}), asked


async def kept(lab: Lab, **how: Any) -> Artifact:
    room = (await lab._bench.ready(viewer)).artifacts
    return await room.put(PNG, name="a.png", media_type="image/png", by=KIM, **how)


@pytest.mark.promise("api-files-are-shown")
async def test_a_picture_of_the_input_is_shown_and_its_bytes_are_in_no_record() -> None:
    lab, asked = desk(Say("a cat"))
    file = await kept(lab)
    assert isinstance(await lab.run(viewer, Question("What is it?", [file, file]), key="1"), Completed)
    assert asked[0].messages[1].artifacts == (file,) and asked[0].files == {file.digest: PNG}
    assert not any(b"PNG" in repr(r.private).encode() for r in lab.records("1"))
    assert (await (await lab._bench.ready()).releases.replay(lab.records("1")[0].run, tenant="acme")).ok


@pytest.mark.promise("api-files-are-shown")
async def test_a_picture_that_a_tool_gives_is_shown_after_its_result_and_other_files_are_not() -> None:
    lab, asked = desk([propose(photo, of="cat"), propose(table, of="x")], Say("a cat"))
    assert isinstance(await lab.run(viewer, Question("Take one", [])), Completed)
    last = asked[1].messages[-1]
    assert (last.role, [a.name for a in last.artifacts or ()]) == ("user", ["cat.png"])
    assert list(asked[1].files.values()) == [PNG] and "t.csv" in asked[1].messages[-2].text


async def test_policy_sees_how_sensitive_a_shown_file_is() -> None:
    lab, asked = desk(Say("a cat"), policy=READS + SECRET)
    ended = await lab.run(viewer, Question("What?", [await kept(lab, sensitivity="restricted")]))
    assert isinstance(ended, Stopped) and ended.reason == "policy_denied" and not asked


@pytest.mark.promise("api-files-are-shown")
async def test_a_model_that_takes_no_such_file_is_not_asked() -> None:
    lab, asked = desk(Say("a cat"), models={"default": ModelConfig(name="default", adapter="openai", files=())})
    ended = await lab.run(viewer, Question("What?", [await kept(lab)]))
    assert isinstance(ended, Stopped) and not asked
    assert "model default takes no image/png" in ended.detail and "[models.default] files" in ended.detail


async def test_a_fallback_that_takes_the_file_is_asked_instead() -> None:
    blind = ModelConfig(name="default", adapter="openai", files=(), fallback=("seeing",))
    models = {"default": blind, "seeing": ModelConfig(name="seeing", adapter="openai")}
    lab, asked = desk(Say("a cat"), models=models)
    assert isinstance(await lab.run(viewer, Question("What?", [await kept(lab)])), Completed) and len(asked) == 1


async def test_a_file_that_was_never_kept_is_shown_to_nobody() -> None:
    lab, asked = desk(Say("a cat"))
    made_up = replace(await kept(lab), digest="0" * 64)
    ended = await lab.run(viewer, Question("What?", [made_up]))
    assert isinstance(ended, Stopped) and not asked and "no artifact a.png" in ended.detail
