"""The desk's one flow: from a wish to a proposal that was sent, with the risky points aligned on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from agents import gatherer, sender, validator, writer
from drafts import (
    Check,
    Dispatch,
    Done,
    Draft,
    Request,
    Task,
    deviating,
    faults,
    with_standard_clauses,
    written_out,
)
from tools import (
    Clause,
    Customer,
    Price,
    find_clauses,
    find_customer,
    find_prices,
    save_document,
    send_proposal,
)

from flyball import FlyballError, Run, flow

ROUNDS: Final = 3
PATIENCE: Final = timedelta(days=2)


@flow(ensures=[send_proposal])
async def proposal(run: Run, request: Request) -> Done:
    """Prepare a commercial proposal, align risky points, and send the final version to the customer."""
    customer = await run.call(find_customer, query=request.customer)
    findings = await run.agent(gatherer, request)
    prices, clauses = await run.gather(
        run.call(find_prices, query=" ".join(item.sku for item in findings.items)),
        run.call(find_clauses, topics=[]),
    )
    draft, prices = await _sound(run, Task(request, customer, findings, prices, clauses, []))
    draft = await _aligned(run, draft, clauses)
    return await _out(run, draft, customer, written_out(draft, customer, prices, clauses))


async def _sound(run: Run, task: Task) -> tuple[Draft, list[Price]]:
    """A draft in which neither our own checks nor the validator find a fault, and the prices it is made of."""
    found: list[str] = []
    for _ in range(ROUNDS):
        draft = await run.agent(writer, replace(task, faults=found))
        prices = await run.call(find_prices, query=" ".join(item.sku for item in draft.items))
        found = faults(draft, prices, task.clauses)
        if not found:
            letter = written_out(draft, task.customer, prices, task.clauses)
            found = (await run.agent(validator, Check(task.request.wish, draft.subject, letter))).remarks
        if not found:
            return draft, prices
    raise FlyballError("draft_unsound", f"no sound draft in {ROUNDS} rounds", "; ".join(found), "Write it by hand.")


async def _aligned(run: Run, draft: Draft, clauses: list[Clause]) -> Draft:
    """Legal may let clauses stand that are not our standard; without their word, the standard stands."""
    odd = deviating(draft, clauses)
    if not odd:
        return draft
    names = ", ".join(clause.id for clause in odd)
    question = f"May the proposal deviate from our standard clauses ({names})?"
    if await run.ask(question, bool, to="legal", about=odd, within=PATIENCE, default=False):
        return draft
    return with_standard_clauses(draft, clauses)


async def _out(run: Run, draft: Draft, customer: Customer, letter: str) -> Done:
    """Saves the final version and lets the sender send it. Who must agree to that is the policy's business."""
    name = f"proposal-{customer.id}-{run.uuid().hex[:8]}.md"
    saved = await run.call(save_document, name=name, text=f"# {draft.subject}\n\n{letter}")
    said = await run.agent(sender, Dispatch(customer.id, customer.contact, draft.subject, letter, draft.discount))
    fact = f"{customer.id} was sent {saved.name} with a discount of {draft.discount} %"
    await run.remember(fact, about=f"proposals to {customer.id}", ttl=timedelta(days=365), scope="tenant")
    return Done(saved.name, said)
