"""The commands there are: one row each, with what it needs of whoever asks and of whoever carries it out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from flyball.app.control import acting, policing, reading, remembering
from flyball.app.control.callers import Caller
from flyball.app.control.office import Office

# read: a look at the journal is enough. fold: a look, with the project's code. write: its owner. drive: both.
Need = Literal["read", "fold", "write", "drive"]
Carry = Callable[[Office, Caller, Any], Awaitable[Mapping[str, Any]]]
Stream = Callable[[Office, Caller, Any], AsyncIterator[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is carried out, with which arguments. `person`: only somebody with a key may ask it."""

    arguments: type[msgspec.Struct]
    need: Need
    carry: Carry | None = None
    stream: Stream | None = None
    person: bool = False


COMMANDS: Final[Mapping[str, Command]] = {
    "runs": Command(arguments=reading.ListRuns, need="read", carry=reading.runs),
    "show": Command(arguments=reading.OneRun, need="read", carry=reading.show),
    "watch": Command(arguments=reading.Watched, need="read", stream=reading.watch),
    "approvals": Command(arguments=reading.ListAsked, need="read", carry=reading.approvals),
    "approval": Command(arguments=reading.OneAsked, need="read", carry=reading.approval),
    "budget": Command(arguments=reading.Nothing, need="read", carry=reading.budget),
    "access": Command(arguments=reading.Accessed, need="read", carry=reading.access),
    "sessions": Command(arguments=reading.Nothing, need="read", carry=reading.list_sessions),
    "session": Command(arguments=reading.OneSession, need="read", carry=reading.one_session),
    "keys": Command(arguments=reading.Nothing, need="read", carry=reading.keys),
    "facts": Command(arguments=reading.Nothing, need="read", carry=reading.facts),
    "run": Command(arguments=acting.Start, need="drive", carry=acting.run),
    "resume": Command(arguments=acting.Resume, need="drive", carry=acting.resume),
    "stop": Command(arguments=acting.Stop, need="write", carry=acting.stop),
    "approve": Command(arguments=acting.Decide, need="write", carry=acting.approve, person=True),
    "deny": Command(arguments=acting.Decide, need="write", carry=acting.deny, person=True),
    "edit": Command(arguments=acting.Edit, need="write", carry=acting.edit, person=True),
    "answer": Command(arguments=acting.Answer, need="write", carry=acting.answer, person=True),
    "resolve": Command(arguments=acting.Resolve, need="write", carry=acting.resolve, person=True),
    "key_enrol": Command(arguments=acting.Enrol, need="write", carry=acting.key_enrol),
    "key_revoke": Command(arguments=acting.Revoke, need="write", carry=acting.key_revoke),
    "verify": Command(arguments=reading.Nothing, need="write", carry=acting.verify),
    "export": Command(arguments=acting.Export, need="write", carry=acting.export),
    "prove": Command(arguments=acting.Prove, need="write", carry=acting.prove),
    "checkpoint": Command(arguments=reading.Nothing, need="write", carry=acting.checkpoint),
    "memories": Command(arguments=remembering.ListMemories, need="write", carry=remembering.memories),
    "memory_search": Command(arguments=remembering.Search, need="write", carry=remembering.search),
    "memory_forget": Command(arguments=remembering.Forget, need="write", carry=remembering.forget),
    "memory_rebuild": Command(arguments=remembering.Rebuild, need="write", carry=remembering.rebuild),
    "policies": Command(arguments=reading.Nothing, need="read", carry=policing.policies),
    "policy_explain": Command(arguments=policing.Explain, need="read", carry=policing.explain),
    "policy_compare": Command(arguments=reading.Nothing, need="fold", carry=policing.compare),
    "policy_activate": Command(arguments=policing.Activate, need="drive", carry=policing.activate, person=True),
    "replay": Command(arguments=reading.OneRun, need="fold", carry=policing.replay),
    "check": Command(arguments=reading.OneRun, need="fold", carry=policing.check),
    "move": Command(arguments=reading.OneRun, need="drive", carry=policing.move),
}  # fmt: skip
