"""`flyball telemetry`: what would leave can be seen, what left can be counted, and a kill loses nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.adapters.otlp_server import Answer, Receiver, otlp_thread
from tests.doors.desk import TOML, Desk

TELEMETRY = '[telemetry.{name}]\nurl = "{url}"\ninside = {inside}\ncontent = {{ look = ["result"] }}\n'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with otlp_thread() as found:
        yield found


def configured(desk: Desk, receiver: Receiver, *, inside: bool = True) -> None:
    word = "true" if inside else "false"
    text = TELEMETRY.format(name="lens", url=receiver.url, inside=word)
    (desk.folder / "flyball.toml").write_text(TOML + text)


def until(wanted: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not wanted():
        assert time.monotonic() < ends, "it never came to that"
        time.sleep(0.02)


def test_a_command_sends_what_it_did_before_it_ends(desk: Desk, receiver: Receiver) -> None:
    configured(desk, receiver)
    assert desk("run", "looks", "2").code == 0
    assert receiver.names() == ["execute_tool look", "execute_tool look", "invoke_workflow looks"]
    [told] = desk.json("telemetry", "status")["exporters"]
    assert (told["name"], told["behind"], told["sent"], told["trouble"]) == ("lens", 0, 3, "")
    assert "lens" in desk("telemetry", "status").out


def test_a_receiver_that_is_away_is_told_and_waits(desk: Desk, receiver: Receiver) -> None:
    configured(desk, receiver)
    receiver.answers = [Answer(status=503)] * 2
    assert desk("run", "looks", "1").code == 0 and receiver.spans == {}
    [told] = desk.json("telemetry", "status")["exporters"]
    assert told["behind"] == told["records"] and told["trouble"] == "export_later"
    assert "lens is" in desk("doctor").out and "export_later" in desk("doctor").out
    assert desk("run", "looks", "1").code == 0 and len(receiver.spans) == 4
    assert "lens is 0 of" in desk("doctor").out


def test_what_would_leave_can_be_seen_before_anything_does(desk: Desk, receiver: Receiver) -> None:
    configured(desk, receiver, inside=False)
    run = desk.json("run", "looks", "1")["run"]
    said = desk("telemetry", "show", run).out
    assert said.startswith("invoke_workflow looks") and "    output.value = 2" in said and receiver.asked == 0
    [root, look] = desk.json("telemetry", "show", run, "lens")["spans"][::-1]
    assert look["parent"] == root["id"] and look["attributes"]["gen_ai.tool.name"] == "look"


def test_the_log_can_be_sent_again(desk: Desk, receiver: Receiver) -> None:
    configured(desk, receiver, inside=False)
    desk("run", "looks", "1")
    assert desk.json("telemetry", "export")["sent"] == 2 and len(receiver.spans) == 2
    assert desk.json("telemetry", "export", "--since", "1h")["sent"] == 2
    time.sleep(0.002)
    assert desk.json("telemetry", "export", "lens", "--since", "1ms")["sent"] == 0
    assert desk.json("telemetry", "status")["exporters"][0]["sent"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("export", "lents"), "Did you mean lens?"), (("export", "--since", "soon"), "no duration"),
        (("show", "r-none"), "there is no run"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named(desk: Desk, receiver: Receiver, words: tuple[str, ...], said: str) -> None:
    configured(desk, receiver, inside=False)
    desk("run", "looks", "1")
    answer = desk("telemetry", *words)
    assert answer.code != 0 and said in answer.err


def test_what_does_not_go_there_is_not_sent_by_hand_either(desk: Desk, receiver: Receiver) -> None:
    configured(desk, receiver)
    file = desk.folder / "flyball.toml"
    file.write_text(file.read_text().replace("inside = true", 'tenants = ["acme"]'))
    desk("run", "looks", "1")
    assert desk.json("telemetry", "status")["exporters"] == [] and receiver.asked == 0
    assert "tenants of [telemetry.lens]" in desk("telemetry", "export").err


def test_without_an_exporter_it_says_what_to_add(desk: Desk) -> None:
    desk("run", "looks", "1")
    assert "[telemetry.NAME]" in desk("telemetry", "run").err


def test_what_is_not_in_the_project_is_refused_at_the_start(desk: Desk, receiver: Receiver) -> None:
    configured(desk, receiver)
    file = desk.folder / "flyball.toml"
    file.write_text(file.read_text().replace("look =", "lok ="))
    assert "Did you mean look?" in desk("run", "looks", "1").err


@pytest.mark.promise("api-telemetry-killed")
def test_a_projector_that_is_killed_loses_nothing(desk: Desk, receiver: Receiver) -> None:
    configured(desk, receiver, inside=False)
    desk("run", "looks", "1")
    with desk.process("telemetry", "run") as first:
        until(lambda: len(receiver.spans) == 2)
        receiver.answers = [Answer(hangs=True)]
        desk("run", "looks", "2")
        until(lambda: not receiver.answers)  # it has sent them, and does not know whether they were taken
        os.kill(first.pid, signal.SIGKILL)
        first.wait(10)
    with desk.process("telemetry", "run") as second:
        until(lambda: len(receiver.spans) == 5)
        os.kill(second.pid, signal.SIGINT)
        assert second.wait(10) == 130
    assert desk.json("telemetry", "status")["exporters"][0]["behind"] == 0
