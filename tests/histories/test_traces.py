"""Every kept history, of every shape that a run can have, folds into spans that hang together."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from flyball.core.attributes import ATTRIBUTES
from flyball.core.disclosure import Rules
from flyball.core.record import NO_RUN, Opened
from flyball.core.span import Span
from flyball.core.trace import Trace, begun, fold
from tests.histories.corpora import CORPORA
from tests.histories.reading import History

EVERY = [history for corpus in CORPORA for history in corpus.histories()]


def records(history: History) -> list[Opened]:
    found: list[Opened] = []
    for n, (line, leaf) in enumerate(zip(history.records, history.leaves(), strict=True)):
        private = {name: msgspec.json.decode(bytes(value)) for name, value in line.private.items()}
        found.append(Opened(
            index=n, kind=leaf["kind"], run=leaf["run"], path=leaf["path"], attempt=leaf["attempt"], time=leaf["t"],
            facts=leaf["facts"], commits=leaf["commit"], private=private,
        ))  # fmt: skip
    return found


def folded(history: History) -> tuple[list[Span], dict[str, Trace], Counter[str]]:
    traces, spans, waiting = dict[str, Trace](), list[Span](), Counter[str]()
    for record in records(history):
        if record.run == NO_RUN:
            continue
        if record.kind == "run_started":
            traces[record.run] = begun(history.head.tenant, record, Rules())
            continue
        told = fold(traces[record.run], record, Rules())
        traces[record.run] = told.trace
        spans += told.spans
        waiting.update(told.waiting)
    return spans, traces, waiting


@pytest.mark.promise("api-telemetry-tree")
def test_every_history_is_a_tree_of_spans_with_names_that_are_known() -> None:
    for history in EVERY:
        spans, traces, waiting = folded(history)
        ids = Counter(span.id for span in spans)
        assert max(ids.values(), default=1) == 1, history.name
        over = {trace.origin.trace for trace in traces.values() if trace.ended}
        lost = [s.name for s in spans if s.parent and s.parent not in ids and s.trace in over]
        assert lost == [], history.name
        assert {name for span in spans for name in span.attributes} <= ATTRIBUTES
        assert all(span.start <= span.end for span in spans), history.name
        asked = Counter(b.record.facts["kind"] for trace in traces.values() for b in trace.asked.values())
        assert +waiting == asked, history.name


def test_everything_that_began_and_ended_has_its_span() -> None:
    for history in EVERY:
        spans, traces, _ = folded(history)
        told = {span.attributes["flyball.record"] for span in spans if "flyball.record" in span.attributes}
        closed = {r.id.removesuffix("outcome") + "intent" for r in records(history) if r.kind == "outcome"}
        starts = {id for id in closed if id.split("/")[-3].rpartition(".")[2] == "0"}
        assert closed - starts - told == set(), history.name
        ended = {trace.started.id for trace in traces.values() if trace.ended}
        assert ended <= told, history.name
