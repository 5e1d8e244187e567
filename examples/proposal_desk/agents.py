"""Who thinks at the desk. An agent may only propose, and only with the tools it is given; policy decides."""

from __future__ import annotations

from drafts import Check, Dispatch, Draft, Findings, Request, Review, Task
from terms import standard_terms
from tools import (
    find_clauses,
    find_customer,
    find_documents,
    find_prices,
    read_notes,
    send_mail,
    send_proposal,
)

from flyball import Limits, Recall, agent, prompt

# The gatherer may ask a customer back by mail, and it reads what strangers wrote. What it proposes, policy decides.
gatherer = agent(
    "gatherer",
    role="retriever",
    instructions=prompt("prompts/gatherer.md"),
    input=Request,
    output=Findings,
    tools=[find_customer, read_notes, find_prices, find_clauses, find_documents, send_mail],
    limits=Limits(steps=16, seconds=180, usd="0.50"),
)

writer = agent(
    "writer",
    role="planner",
    instructions=prompt("prompts/writer.md"),
    input=Task,
    output=Draft,
    memory=Recall(scopes=("tenant",)),
    limits=Limits(steps=6, seconds=120, usd="0.50"),
)

validator = agent(
    "validator",
    role="validator",
    instructions=prompt("prompts/validator.md"),
    input=Check,
    output=Review,
    context=[standard_terms],
    limits=Limits(steps=4, seconds=120, usd="0.25"),
)

sender = agent(
    "sender",
    role="executor",
    instructions=prompt("prompts/sender.md"),
    input=Dispatch,
    output=str,
    tools=[send_proposal],
    limits=Limits(steps=4, seconds=120, usd="0.25"),
)
