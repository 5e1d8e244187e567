"""A connection that breaks after the bytes left: what may have happened is unknown, and is never done a second time."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import aiohttp
import pytest
from aiosmtpd.smtp import SMTP

from flyball import Call, Critical, Executed, Failed, NotDone, Retry, Tenant, resource, tool
from flyball.core.result import Pending
from flyball.testing import Lab
from tests.adapters.openai_server import openai_server
from tests.bad_input.bank import KIM, OLA, ONCE, PERMIT

FEW = Retry(attempts=3, first=timedelta(seconds=1))


@resource()
async def port(tenant: Tenant) -> AsyncIterator[int]:
    yield 0


async def _wire(call: Call, text: str) -> str:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", call.get(port))
    except ConnectionRefusedError as refused:
        raise NotDone("nobody listens there") from refused
    writer.write(f"{call.key} {text}\n".encode())
    await writer.drain()
    said = await reader.readline()
    writer.close()
    if not said:
        raise ConnectionError("the line went dead")
    return said.decode().strip()


@tool(effect="irreversible", retry=FEW)
async def wire(call: Call, text: Critical[str]) -> str:
    """Wire a text."""
    return await _wire(call, text)


@tool(effect="irreversible", idempotency="key", retry=FEW)
async def wire_once(call: Call, text: Critical[str]) -> str:
    """Wire a text to somebody who remembers keys."""
    return await _wire(call, text)


@tool(effect="irreversible", retry=ONCE)
def mail(call: Call, to: Critical[str]) -> str:
    """Send a mail, as the standard library does."""
    message = EmailMessage()
    message["From"], message["To"], message["Message-ID"] = "desk@bank.example", to, f"<{call.key}@bank.example>"
    with smtplib.SMTP("127.0.0.1", call.get(port), timeout=5) as server:
        server.send_message(message)
    return call.key


@tool(effect="irreversible", egress=True, retry=ONCE)
async def post(call: Call, text: str) -> int:
    """Post something to an HTTP server."""
    url = f"http://127.0.0.1:{call.get(port)}/v1/chat/completions"
    async with aiohttp.ClientSession() as session, session.post(url, json={"model": "reset", "text": text}) as said:
        return said.status


class Line:
    """A server that writes down what it gets, and then resets the connection as often as it is told to."""

    def __init__(self, resets: int) -> None:
        self.resets, self.got = resets, list[str]()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.got.append((await reader.readline()).decode().strip())
        if self.resets:
            self.resets -= 1
            # With a linger of zero, closing sends RST.
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            writer.write(b"done\n")
            await writer.drain()
        writer.close()


@asynccontextmanager
async def line(resets: int) -> AsyncIterator[tuple[Line, Lab]]:
    kept = Line(resets)
    server = await asyncio.start_server(kept.serve, "127.0.0.1", 0)
    async with server, at(server.sockets[0].getsockname()[1]) as bank:
        yield kept, bank


def at(number: int) -> Lab:
    return Lab(policies=PERMIT, by=KIM, resources=[port.use(number)], project=[sys.modules[__name__]])


def status(bank: Lab) -> list[str]:
    return [r.facts["status"] for r in bank.records() if r.kind == "outcome"]


@pytest.mark.promise("journal-doubt-is-unknown")
async def test_a_reset_after_the_bytes_left_is_unknown_and_not_failed() -> None:
    async with line(resets=1) as (kept, bank):
        told = await bank.act(wire, {"text": "sell"}, call_id="1")
        assert isinstance(told, Pending) and told.kind == "unknown" and len(kept.got) == 1
        assert status(bank) == ["unknown"] and (await bank.verify()).ok
        await bank.resolve(told, "executed", by=OLA, result="done")
        assert isinstance(await bank.act(wire, {"text": "sell"}, call_id="1"), Executed) and len(kept.got) == 1


async def test_a_reset_where_the_remote_remembers_keys_is_tried_again_under_the_same_key() -> None:
    async with line(resets=2) as (kept, bank):
        assert isinstance(await bank.act(wire_once, {"text": "sell"}, call_id="1"), Executed)
        assert len(kept.got) == 3 and len(set(kept.got)) == 1 and status(bank)[-1] == "executed"


async def test_resets_without_end_under_a_key_are_unknown_in_the_end() -> None:
    async with line(resets=9) as (kept, bank):
        told = await bank.act(wire_once, {"text": "sell"}, call_id="1")
        assert isinstance(told, Pending) and told.kind == "unknown" and len(kept.got) == 3


@pytest.mark.promise("journal-not-done-is-failed")
async def test_what_never_left_is_failed_where_the_tool_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        async with at(taken.getsockname()[1]) as bank:
            told = await bank.act(wire, {"text": "sell"}, call_id="1")
            assert isinstance(told, Failed) and told.reason == "not_done" and set(status(bank)) == {"failed"}


class Dies:
    """An SMTP server that takes a message and is gone before it answers, or answers an error after it took it."""

    def __init__(self, how: str) -> None:
        self.how, self.got = how, 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.got += 1
        if self.how == "is gone":
            server.transport.abort()
        return {"is gone": "", "says no": "554 rejected", "is well": "250 OK"}[self.how]


@pytest.mark.promise("journal-doubt-is-unknown")
@pytest.mark.parametrize(("how", "ending"), [("is gone", "unknown"), ("says no", "unknown"), ("is well", "executed")])
async def test_a_mail_that_was_handed_over_is_unknown_whatever_broke_afterwards(how: str, ending: str) -> None:
    handler = Dies(how)
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(handler), "127.0.0.1", 0)
    async with server, at(server.sockets[0].getsockname()[1]) as bank:
        told = await bank.act(mail, {"to": "anna@acme.example"}, call_id="1")
        again = await bank.act(mail, {"to": "anna@acme.example"}, call_id="1")
        assert type(told) is type(again) and handler.got == 1 and status(bank) == [ending]


async def test_an_http_server_that_resets_after_it_read_the_request_leaves_it_unknown() -> None:
    async with openai_server() as server, at(int(server.url.split(":")[2].split("/")[0])) as bank:
        told = await bank.act(post, {"text": "sell"}, call_id="1")
        assert isinstance(told, Pending) and told.kind == "unknown" and len(server.asked) == 1
        assert status(bank) == ["unknown"]
