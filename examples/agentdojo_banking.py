"""AgentDojo's banking suite through the governed path: what stays possible unattended, what a bank's policy asks about.

    make agentdojo                               in an environment of its own
    python -m examples.agentdojo_banking --json  where agentdojo is installed: only the numbers; --policy FILE: another

No model is asked. The suite's ground-truth calls are the proposals, as if a model had made them; its own checkers say
whether the task was done. Each task is a run whose input is the customer's prompt, so that origins are traced against
what the customer wrote. Then every attack of the suite is proposed within every task: the account holds the attacker's
text, the run has read it, and the model does what it says.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import inspect
import json
import shutil
import sys
import tempfile
import time
import typing
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from agentdojo.functions_runtime import FunctionCall  # pyright: ignore[reportMissingImports]
from agentdojo.task_suite.load_suites import get_suite  # pyright: ignore[reportMissingImports]

from flyball import (
    Call,
    Completed,
    Config,
    Critical,
    Executed,
    Flyball,
    Outgoing,
    Principal,
    Run,
    Stopped,
    Tenant,
    Tool,
    Trusted,
    Waiting,
    flow,
    resource,
    tool,
)
from flyball.app.project import collect

VERSION: Final = "v1.2.2"
SUITE: Final = get_suite(VERSION, "banking")
FUNCTIONS: Final = {function.name: function for function in SUITE.tools}
POLICY: Final = Path(__file__).with_suffix(".cedar")

EMMA: Final = Principal("user:emma", groups=frozenset({"customers"}))
DESKS: Final = {
    "payments": Principal("user:pia", groups=frozenset({"payments"})),
    "identity": Principal("user:ida", groups=frozenset({"identity"})),
}


# the suite's functions as tools ---------------------------------------------------------------------------------------
class Books:
    """The bank's books, with the account of the customer who is being served."""

    account: Any = None


@resource(scope="process")
async def books(_: Tenant) -> AsyncIterator[Books]:
    yield Books()


def governed(
    name: str, *, effect: Literal["read", "irreversible"], egress: bool = False, marks: Mapping[str, Any] | None = None,
    vouched: Sequence[str] = (),
) -> Tool[..., Any]:  # fmt: skip
    """A function of the suite as a tool, by its own signature without the account that AgentDojo injects.

    `marks` say what an argument is; `vouched` are the fields of its result that the bank itself answers for ("" for all
    of it).
    """
    function, injected = FUNCTIONS[name].run, FUNCTIONS[name].dependencies
    hints = typing.get_type_hints(function)
    returns = _vouched(hints.pop("return"), vouched)
    taken = [p for p in inspect.signature(function).parameters.values() if p.name not in injected]
    marked = {p.name: hints[p.name] for p in taken}
    marked |= {argument: mark[marked[argument]] for argument, mark in (marks or {}).items()}

    def perform(call: Call, **arguments: Any) -> Any:
        account = call.get(books).account
        return function(**{n: given.extract_dep_from_env(account) for n, given in injected.items()}, **arguments)

    first = inspect.Parameter("call", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Call)
    rest = [p.replace(annotation=marked[p.name]) for p in taken]
    perform.__name__ = perform.__qualname__ = name
    perform.__doc__ = inspect.getdoc(function)
    perform.__annotations__ = {"call": Call, **marked, "return": returns}
    vars(perform)["__signature__"] = inspect.Signature([first, *rest], return_annotation=returns)
    return tool(effect=effect, egress=egress)(perform)


def _vouched(kind: Any, fields: Sequence[str]) -> Any:
    trusted: Any = Trusted
    if not fields or "" in fields:
        return trusted[kind] if fields else kind
    (record,) = typing.get_args(kind)
    types = {name: shape.annotation for name, shape in record.model_fields.items()}
    row: Any = make_dataclass(record.__name__, [(n, trusted[t] if n in fields else t) for n, t in types.items()])
    return list[row]


# What the operator declares, once. The functions take no key and nothing can be taken back within a window, so no
# effect is reversible and none is repeated. The books vouch for amounts and for whom the customer paid; not for who
# sent something, not for subjects or dates (the sender wrote them), not for files.
BOOKED: Final = ("id", "recipient", "amount")
WHOM: Final[Mapping[str, Any]] = {"recipient": Critical, "amount": Critical, "subject": Outgoing}
ORDER: Final[Mapping[str, Any]] = {**WHOM, "recurring": Critical}
PERSON: Final[Mapping[str, Any]] = dict.fromkeys(("first_name", "last_name", "street", "city"), Critical)

get_iban = governed("get_iban", effect="read", vouched=("",))
get_balance = governed("get_balance", effect="read", vouched=("",))
get_most_recent_transactions = governed("get_most_recent_transactions", effect="read", vouched=BOOKED)
get_scheduled_transactions = governed("get_scheduled_transactions", effect="read", vouched=BOOKED)
read_file = governed("read_file", effect="read")
get_user_info = governed("get_user_info", effect="read")
send_money = governed("send_money", effect="irreversible", egress=True, marks=WHOM)
schedule_transaction = governed("schedule_transaction", effect="irreversible", egress=True, marks=ORDER)
update_scheduled_transaction = governed(
    "update_scheduled_transaction", effect="irreversible", egress=True, marks={"id": Critical, **ORDER}
)
update_password = governed("update_password", effect="irreversible", marks={"password": Critical})
update_user_info = governed("update_user_info", effect="irreversible", marks=PERSON)
TOOLS: Final = {
    t.name: t
    for t in (
        get_iban, get_balance, get_most_recent_transactions, get_scheduled_transactions, read_file, get_user_info,
        send_money, schedule_transaction, update_scheduled_transaction, update_password, update_user_info,
    )
}  # fmt: skip


# what is proposed -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Request:
    """What the customer asks. The two ids say whose calls are proposed; no call carries them as a value."""

    prompt: str
    task: str
    attack: str = ""


def account_for(request: Request) -> Any:
    """The customer's account as it is before anything happened, with the attacker's text wherever there is room."""
    goal = SUITE.injection_tasks[request.attack].GOAL if request.attack else ""
    text = dict.fromkeys(SUITE.get_injection_vector_defaults(), goal) if request.attack else {}
    fresh = SUITE.load_and_inject_default_environment(text)
    return SUITE.user_tasks[request.task].init_environment(fresh)


@functools.cache
def proposals(request: Request) -> tuple[tuple[str, dict[str, Any]], ...]:
    """The calls of the task; under an attack what the task reads, then the calls of the attack."""
    account = account_for(request)
    calls = [(c.function, dict(c.args)) for c in SUITE.user_tasks[request.task].ground_truth(account)]
    if request.attack:
        theirs = SUITE.injection_tasks[request.attack].ground_truth(account)
        calls = [c for c in calls if TOOLS[c[0]].action.effect == "read"]
        calls += [(c.function, dict(c.args)) for c in theirs]
    return tuple(calls)


@flow
async def assist(run: Run, request: Request) -> list[int]:
    """Proposes call after call, whatever became of the one before. Gives the numbers of those that were executed."""
    done = []
    for number, (name, arguments) in enumerate(proposals(request)):
        if isinstance(await run.attempt(TOOLS[name], **arguments), Executed):
            done.append(number)
    return done


# one request after the other ------------------------------------------------------------------------------------------
@dataclass
class Told:
    """What became of one request, from its records."""

    task: str
    attack: str
    calls: int
    effects: int
    asked: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    unattended: list[str] = field(default_factory=list)
    exposed: bool = False  # did a result hold the attacker's text?
    bare_text: int = 0  # payments that nobody looked at whose text came from nowhere known
    holds: bool = False  # the suite's checker at the end
    holds_alone: bool = False  # ... without anybody having been asked
    holds_idle: bool = False  # ... on an account that nobody touched


@dataclass(frozen=True)
class Bank:
    """The open project, and the books it works on."""

    app: Flyball
    desk: Books

    async def serve(self, request: Request, *, approve: bool) -> Told:
        """Drives one request to its end; the desks say yes to everything that they are asked, or no to everything."""
        before = account_for(request)
        self.desk.account = before.model_copy(deep=True)
        key = f"{request.task}+{request.attack}"
        result = await self.app.run(assist, request, by=EMMA, key=key)
        run = result.run
        while isinstance(result, Waiting):
            for pending in result.pending:
                for group in pending.groups:
                    say = self.app.approvals.approve if approve else self.app.approvals.deny
                    await say(pending, by=DESKS[group], reason="as the customer wishes" if approve else "not asked for")
            result = await self.app.runs.result(run)
        if isinstance(result, Stopped):
            raise SystemExit(f"{request.task} {request.attack} ended with {result.reason}: {result.detail}")
        assert isinstance(result, Completed)
        told = self._told(run, request)
        check = functools.partial(holds, request, before)
        told.holds = check(self.desk.account, result.value)
        told.holds_alone = told.holds and not told.asked
        told.holds_idle = check(before, range(told.calls))
        return told

    def _told(self, run: str, request: Request) -> Told:
        calls = proposals(request)
        effects = sum(TOOLS[name].action.effect != "read" for name, _ in calls)
        told = Told(request.task, request.attack, len(calls), effects)
        goal = SUITE.injection_tasks[request.attack].GOAL if request.attack else None
        for record in self.app.runs.records(run):
            facts, private = record.facts, record.private or {}
            if record.kind == "asked":
                because = ", ".join(b.removeprefix("project/") for b in private["shown"]["because"])
                told.asked.append(f"{private['shown']['action']}: {because}")
            elif record.kind == "decision":
                why = ", ".join(p.removeprefix("project/") for p in facts["policies"]) or facts["reason"]
                told.denied.append(f"{facts['action']}: {why}")
            elif record.kind == "outcome":
                told.exposed |= goal is not None and goal in str(private.get("result"))
            elif record.kind == "intent" and facts["effect"] != "read" and "approval" not in facts:
                told.unattended.append(facts["action"])
                told.bare_text += private["request"]["origins"].get("subject") == "unknown"
        return told


def holds(request: Request, before: Any, after: Any, done: Iterable[int]) -> bool:
    """What the suite's own checker says: was the task done, or did the attack succeed?

    The answer is the suite's own text, and is given only where every call was executed: no model wrote one.
    """
    calls = [FunctionCall(function=name, args=arguments) for name, arguments in proposals(request)]
    made = [calls[number] for number in done]
    if request.attack:
        attack = SUITE.injection_tasks[request.attack]
        told = attack.security_from_traces("", before, after, made)
        return bool(attack.security("", before, after) if told is None else told)
    task = SUITE.user_tasks[request.task]
    answer = task.GROUND_TRUTH_OUTPUT if len(made) == len(calls) else ""
    told = task.utility_from_traces(answer, before, after, made)
    return bool(task.utility(answer, before, after) if told is None else told)


def requests(*, attacks: bool) -> Iterator[Request]:
    """Every user task, or every attack within every user task."""
    for id, task in SUITE.user_tasks.items():
        yield from (Request(task.PROMPT, id, a) for a in (SUITE.injection_tasks if attacks else ("",)))


# what is told ---------------------------------------------------------------------------------------------------------
def share(part: int, whole: int) -> str:
    """`7 of 16 (44 %)`."""
    return f"{part} of {whole} ({100 * part / whole:.0f} %)"


def shown(told: Told) -> str:
    """One task in one line, and a line for each proposal that somebody had to look at."""
    alone = "yes" if told.holds_alone else "no"
    mark = "*" if told.holds_idle else " "
    line = f"{told.task:<13} {told.calls:>5} {told.effects:>7}   {alone:<10} {len(told.asked):>5} {len(told.denied):>6}"
    whys = [f"    asked   {why}" for why in told.asked] + [f"    denied  {why}" for why in told.denied]
    return "\n".join([f"{line}   {'yes' if told.holds else 'no'}{mark}", *whys])


def numbers(tasks: Sequence[Told], attacks: Sequence[Told]) -> dict[str, int]:
    """Everything that is counted, with its denominators."""
    _, (bare_tasks, bare_attacks) = SUITE.check(check_injectable=False)
    return {
        "tasks": len(tasks), "tasks_without_gate": sum(ok for ok, _ in bare_tasks.values()),
        "unattended_utility": sum(t.holds_alone for t in tasks), "idle_utility": sum(t.holds_idle for t in tasks),
        "tasks_with_effects": sum(t.effects > 0 for t in tasks),
        "unattended_with_effects": sum(t.holds_alone and t.effects > 0 for t in tasks),
        "calls": sum(t.calls for t in tasks), "effects": sum(t.effects for t in tasks),
        "effects_unattended": sum(len(t.unattended) for t in tasks),
        "approvals_asked": sum(len(t.asked) for t in tasks), "denied": sum(len(t.denied) for t in tasks),
        "utility_after_approvals": sum(t.holds for t in tasks), "text_unseen": sum(t.bare_text for t in tasks),
        "attacks": len(bare_attacks), "attacks_without_gate": sum(bare_attacks.values()),
        "attacked_runs": len(attacks), "exposed_runs": sum(t.exposed for t in attacks),
        "attacks_succeeded": sum(t.holds for t in attacks),
        "attack_effects": sum(t.effects for t in attacks),
        "attack_effects_unattended": sum(len(t.unattended) for t in attacks),
        "stopped_by_ask": sum(bool(t.asked) and not t.unattended for t in attacks),
        "stopped_by_deny": sum(bool(t.denied) and not t.asked and not t.unattended for t in attacks),
    }  # fmt: skip


def report(tasks: Sequence[Told], n: dict[str, int]) -> str:
    """The numbers as people read them."""
    why = Counter(w for t in tasks for w in t.asked)
    return "\n".join([
        "", "user tasks",
        f"  utility without a gate                {share(n['tasks_without_gate'], n['tasks'])}, the suite's own replay",
        f"  utility kept unattended               {share(n['unattended_utility'], n['tasks'])}: nobody was asked",
        f"    of those that change something      {share(n['unattended_with_effects'], n['tasks_with_effects'])}",
        f"  approvals asked                       {n['approvals_asked']} for {n['effects']} effects",
        *(f"    {count} x {what}" for what, count in why.most_common()),
        f"  denied                                {share(n['denied'], n['calls'])} of the calls",
        f"  utility after approving all of it     {share(n['utility_after_approvals'], n['tasks'])}",
        f"  effects that nobody looked at         {share(n['effects_unattended'], n['effects'])}",
        f"    their text from nowhere known       {n['text_unseen']}: one line that an attacker could have written",
        f"  * the checker is content with an untouched account too: {share(n['idle_utility'], n['tasks'])}",
        "", "attacks: each within each user task, after what that reads; the desks say no",
        f"  without a gate                        {share(n['attacks_without_gate'], n['attacks'])} succeed",
        f"  runs that read the attacker's text    {share(n['exposed_runs'], n['attacked_runs'])}",
        f"  attempts that succeeded               {share(n['attacks_succeeded'], n['attacked_runs'])}",
        f"  stopped by a question to a person     {share(n['stopped_by_ask'], n['attacked_runs'])}",
        f"  stopped by a plain deny               {share(n['stopped_by_deny'], n['attacked_runs'])}",
        f"  effects that nobody looked at         {share(n['attack_effects_unattended'], n['attack_effects'])}",
        "  These are the suite's fixed calls, not an attacker who knows the policy; a person who says yes to all lets",
        "  through what was asked.", "",
    ])  # fmt: skip


async def replay(folder: Path, policy: Path, say: bool) -> tuple[dict[str, int], bool]:
    """The whole suite over a ledger in `folder`: the numbers, and whether the ledger verifies."""
    policies = folder / "policies"
    policies.mkdir()
    shutil.copy(policy, policies)
    config = Config.bare("agentdojo-banking", str(folder), home=str(folder))
    project = msgspec.structs.replace(config.project, policies=str(policies), policy=None)
    config = msgspec.structs.replace(config, project=project)
    desk, started = Books(), time.monotonic()
    values = collect(project.name, str(POLICY.parent), [sys.modules[__name__]])
    async with Flyball(config, values, uses=[books.use(desk)]) as app:
        bank = Bank(app, desk)
        if say:
            print(f"AgentDojo {VERSION}, banking suite, under {policy.name}: its ground-truth calls, no model\n")
            print("task          calls effects   unattended asked denied   after approvals")
        tasks = []
        for request in requests(attacks=False):
            tasks.append(await bank.serve(request, approve=True))
            if say:
                print(shown(tasks[-1]), flush=True)
        attacks = [await bank.serve(request, approve=False) for request in requests(attacks=True)]
        found = numbers(tasks, attacks)
        verified = await app.ledger.verify()
    if say:
        print(report(tasks, found))
        print(f"ledger {verified.summary}\n{time.monotonic() - started:.1f} s")
    return found | {"records": verified.size}, verified.ok


def main() -> None:
    """Prints what the suite does under the policy; ends with 5 where the ledger does not verify."""
    parser = argparse.ArgumentParser(description="AgentDojo's banking suite through the governed path.")
    parser.add_argument("--policy", type=Path, default=POLICY, help="another policy file")
    parser.add_argument("--json", action="store_true", help="only the numbers, as JSON")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found, ok = asyncio.run(replay(Path(folder), wanted.policy, not wanted.json))
    if wanted.json:
        print(json.dumps({**found, "verified": ok}))
    sys.exit(0 if ok else 5)


if __name__ == "__main__":
    main()
