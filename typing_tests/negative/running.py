"""Whoever runs something is a principal, money is no float, and a journal is read for one tenant."""

from flyball import Blocked, Call, Completed, Flyball, Pending, Principal, Result, Run, Stopped, flow, run, tool
from flyball.ports.journal import Journal

KIM = Principal("user:kim")


@tool(effect="read")
async def look(call: Call, id: str) -> int:
    return 1


@flow
async def handle(run: Run, id: str) -> int:
    return await run.call(look, id)


async def main(app: Flyball, pending: Pending) -> None:
    await app.run(handle, "A-17")  # error
    await app.run(handle, "A-17", by="kim")  # error
    await app.run(handle, 17, by=KIM)  # error
    await app.run(look, "A-17", by=KIM)  # error
    await app.start(handle, "A-17", by=KIM, limits=3)  # error
    await app.act(look, {"id": "A-17"}, by=KIM)  # error
    await app.act(handle, {}, by=KIM, call_id="1")  # error
    await app.approvals.approve(pending, reason="fair")  # error
    text: Result[str] = await app.run(handle, "A-17", by=KIM)  # error
    print(text)


def read(result: Result[int], journal: Journal) -> int:
    journal.view()  # error
    run(handle, "A-17", max_usd=0.05)  # error
    run(handle, 17)  # error
    return result.value  # error


def changes(principal: Principal, done: Completed[int]) -> None:
    principal.tenant = "another"  # error
    done.value = 2  # error


stopped = Stopped("r-1", "because")  # error
kim = Principal("user:kim", groups="finance")  # error
blocked: int = Blocked("x").reason  # error
