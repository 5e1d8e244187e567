"""Who is asking: signed requests are bound, fresh and taken once; without a key it is the operating-system user."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flyball.app.control import callers
from flyball.app.control.callers import Caller, Callers
from flyball.app.control.wire import Asked, line, question
from flyball.app.flyball import Flyball
from flyball.app.person import os_user
from flyball.core.credential import SigningKey, sign_request
from flyball.core.errors import FlyballError
from tests.app.owned import EVE, FAY, owner, project

SESSION = "s" * 32


@dataclass
class Door:
    """A way in, and how requests for it are signed."""

    app: Flyball
    callers: Callers

    def asked(self, key: SigningKey = FAY, nonce: str = "n" * 16, ago_s: int = 0, **bound: Any) -> Asked:
        log, _ = self.app.rooms.ports.journal.view("local").tree()
        arguments = {"run": "r-1", "tenant": "local", "log": log, "session": SESSION, **bound}
        now = self.app.rooms.ports.clock.now() - ago_s * 1_000_000
        return Asked(v=1, signed=sign_request(key, "stop", arguments, issued_us=now, nonce=nonce))

    def who(self, asked: Asked, uid: int | None = None) -> Caller:
        return self.callers.who(asked, os.geteuid() if uid is None else uid)

    def refusal(self, asked: Asked, uid: int | None = None) -> str:
        with pytest.raises(FlyballError) as refused:
            self.who(asked, uid)
        return f"{refused.value.code}: {refused.value}"


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with owner(project(tmp_path / "desk")) as app:
        yield Door(app, Callers(app.office, SESSION))


@pytest.mark.promise("api-host-or-key")
def test_a_signed_request_is_the_person_of_its_key(door: Door) -> None:
    caller = door.who(door.asked())
    assert (caller.by.id, caller.by.assurance, caller.by.issuer, caller.key) == ("user:fay", "key", "key", FAY.id)
    assert caller.by.groups == {"finance"} and caller.arguments == {"run": "r-1"} and caller.command == "stop"


@pytest.mark.promise("api-host-or-key")
def test_without_a_key_it_is_the_user_behind_the_socket(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "fay")
    monkeypatch.setenv("LOGNAME", "fay")
    caller = door.who(Asked(v=1, command="runs", arguments={"tenant": "acme"}))
    assert (
        caller.by == os_user("acme") and caller.by.assurance == "os" and caller.by.id != "user:fay" and not caller.key
    )


@pytest.mark.promise("api-requests-once")
def test_a_request_is_taken_once(door: Door) -> None:
    asked = door.asked()
    door.who(asked)
    assert "it was sent before" in door.refusal(asked)
    door.who(door.asked(nonce="m" * 16))


@pytest.mark.promise("api-requests-once")
@pytest.mark.parametrize("bound", [{"tenant": "acme"}, {"log": "0" * 32}, {"session": "t" * 32}])
def test_a_request_for_somebody_else_is_refused(door: Door, bound: dict[str, str]) -> None:
    assert "meant for somebody else" in door.refusal(door.asked(**bound))


@pytest.mark.promise("api-requests-once")
@pytest.mark.parametrize("ago", [61, -62])
def test_a_request_is_fresh_for_a_minute(door: Door, ago: int) -> None:
    assert door.refusal(door.asked(ago_s=ago)).startswith("request_stale")


@pytest.mark.promise("api-host-or-key", "api-keys-are-records")
def test_a_key_that_nobody_enrolled_is_nobody(door: Door) -> None:
    assert door.refusal(door.asked(EVE)).startswith("auth_failed")


@pytest.mark.promise("api-keys-are-records")
async def test_a_revoked_key_is_nobody(door: Door) -> None:
    await door.app.keys.revoke(FAY.id)
    assert door.refusal(door.asked()).startswith("auth_failed")


@pytest.mark.parametrize("part", ["command", "arguments", "nonce", "issued_us", "signature", "key"])
def test_a_request_that_was_changed_is_refused(door: Door, part: str) -> None:
    signed = door.asked().signed
    assert signed is not None
    new: dict[str, Any] = {
        "command": "resume", "arguments": {**signed.arguments, "run": "r-2"}, "nonce": "x" * 16,
        "issued_us": signed.issued_us + 1, "signature": base64.b64encode(b"0" * 64).decode(), "key": EVE.id,
    }  # fmt: skip
    changed = msgspec.structs.replace(signed, **{part: new[part]})
    assert door.refusal(Asked(v=1, signed=changed)).startswith(("request_refused", "auth_failed"))


def test_a_request_of_another_user_is_refused_whatever_it_is_signed_with(door: Door) -> None:
    assert "belongs to another user" in door.refusal(door.asked(), os.geteuid() + 1)


def test_nonces_are_forgotten_once_they_cannot_be_fresh(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "MOST_NONCES", 2)
    for nonce in ("a" * 16, "b" * 16):
        door.who(door.asked(nonce=nonce))
    assert door.refusal(door.asked(nonce="c" * 16)).startswith("owner_busy")
    clock = door.app.rooms.ports.clock
    later = type("Later", (), {"now": lambda _: clock.now() + 130_000_000})()
    ports = replace(door.app.rooms.ports, clock=later)
    door.callers._office = replace(door.app.office, rooms=replace(door.app.rooms, ports=ports))
    door.who(door.asked(nonce="d" * 16, ago_s=-130))


@pytest.mark.parametrize(
    "raw", [b"\n", b"{", b"[]", b'{"v":1,"x":1}', b'{"v":2}', b'{"v":1,"command":1}', b'{"v":1,"v":1}', b"\xff"]
)
def test_what_is_no_request_is_refused(raw: bytes) -> None:
    with pytest.raises(FlyballError) as refused:
        question(raw)
    assert refused.value.code == "request_refused"


def test_a_request_crosses_as_it_was(door: Door) -> None:
    asked = door.asked()
    assert question(line({"v": 1, "signed": asked.signed})) == asked


def test_a_user_without_a_name_is_called_by_number() -> None:
    assert os_user(uid=4_000_000_000).id == "user:uid-4000000000"
