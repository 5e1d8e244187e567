from __future__ import annotations

import pickle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.artifact import Artifact
from flyball.core.errors import FlyballError
from flyball.core.model import (
    MAX_QUOTED,
    Message,
    ModelConfig,
    ModelError,
    ModelReply,
    ModelRequest,
    ParsedCall,
    Problem,
    ToolCall,
    ToolSpec,
    candidates,
    check_reply,
    nearest,
    parse_calls,
    pieces,
    repair,
)

SEARCH = ToolSpec(name="search", schema={"type": "object"})


def call(arguments: str = "{}", *, id: str = "c1", name: str = "search") -> ToolCall:
    return ToolCall(id=id, name=name, arguments=arguments)


def kinds(*calls: ToolCall) -> list[str]:
    return [p.kind for p in check_reply(ModelReply(calls=calls, stop="tool"), (SEARCH,))]


def config(name: str, *fallback: str) -> ModelConfig:
    return ModelConfig(name=name, model=name, fallback=fallback)


def test_a_request_survives_the_journal() -> None:
    request = ModelRequest(model="m", messages=(Message(role="assistant", calls=(call(),)),), tools=(SEARCH,))
    assert msgspec.convert(msgspec.to_builtins(request), ModelRequest) == request


def test_a_good_call_is_parsed_and_has_no_problem() -> None:
    parsed = parse_calls([call('{"q": [1, "é"]}')], {"search"})
    assert parsed.calls == (ParsedCall(id="c1", name="search", arguments={"q": [1, "é"]}),)
    assert not parsed.problems


@pytest.mark.parametrize("text", ["", "  ", "{}"])
def test_a_call_without_arguments_has_an_empty_object(text: str) -> None:
    assert parse_calls([call(text)], {"search"}).calls[0].arguments == {}


@pytest.mark.parametrize(
    "text",
    ['{"a":', "[1]", '"text"', "null", "nonsense", '{"a":1,"a":2}', '{"__class__":1}', '{"a":NaN}', "[" * 100_000,
     '{"a":"\ud800"}', '{"a":1} {"b":2}'],
)  # fmt: skip
def test_arguments_that_are_no_clean_object_are_a_problem(text: str) -> None:
    assert kinds(call(text)) == ["invalid_arguments"]


def test_oversized_arguments_are_a_problem_that_quotes_nothing() -> None:
    parsed = parse_calls([call('{"a":"' + "x" * 100 + '"}')], {"search"}, max_bytes=50)
    assert parsed.problems[0].kind == "invalid_arguments" and "xxx" not in parsed.problems[0].detail


def test_an_unknown_tool_is_named_with_the_nearest_one() -> None:
    (problem,) = check_reply(ModelReply(calls=(call(name="serach"),)), (SEARCH,))
    assert problem.kind == "unknown_tool" and "Did you mean search?" in problem.detail


def test_an_unknown_tool_unlike_any_lists_what_there_is() -> None:
    assert "Tools: search." in parse_calls([call(name="zzz")], {"search"}).problems[0].detail
    assert "Tools: none." in parse_calls([call(name="zzz")], ()).problems[0].detail


def test_two_calls_with_one_id_are_a_problem_of_the_second() -> None:
    parsed = parse_calls([call('{"a":1}'), call('{"a":2}')], {"search"})
    assert [c.arguments for c in parsed.calls] == [{"a": 1}]
    assert [(p.kind, p.call_id) for p in parsed.problems] == [("repeated_id", "c1")]


def test_a_call_without_id_is_a_problem() -> None:
    assert kinds(call(id="")) == ["missing_id"]


def test_every_faulty_call_is_named() -> None:
    assert kinds(call("{"), call(id="c2", name="x"), call(id="c2")) == [
        "invalid_arguments", "unknown_tool", "repeated_id",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (ModelReply(), "nothing"),
        (ModelReply(text=" \n"), "nothing"),
        (ModelReply(text="half", stop="length"), "cut_short"),
        (ModelReply(calls=(call(),), stop="length"), "cut_short"),
        (ModelReply(text="no", stop="filter"), "filtered"),
    ],
)
def test_a_reply_that_ended_badly_is_a_problem(reply: ModelReply, kind: str) -> None:
    assert [p.kind for p in check_reply(reply, (SEARCH,))] == [kind]


def test_text_and_good_calls_together_can_be_used() -> None:
    assert check_reply(ModelReply(text="I look.", calls=(call(),), stop="tool"), (SEARCH,)) == ()


def test_a_repair_repeats_the_reply_as_text_and_says_what_was_wrong() -> None:
    reply = ModelReply(text="I look.", calls=(call("{"),))
    said, asked = repair(reply, check_reply(reply, (SEARCH,)))
    assert (said.role, said.calls) == ("assistant", ()) and said.text == "I look.\n[call search {]"
    assert (asked.role, asked.name) == ("user", "flyball") and "arguments of search cannot be read" in asked.text


def test_a_repair_of_nothing_is_not_empty() -> None:
    said, _ = repair(ModelReply(), [Problem(kind="nothing", detail="d")])
    assert said.text == "(empty)"


@given(st.lists(st.builds(ToolCall, id=st.text(), name=st.text(), arguments=st.text()), max_size=20), st.text())
def test_any_reply_is_judged_and_its_repair_is_bounded(calls: list[ToolCall], text: str) -> None:
    reply = ModelReply(text=text * 50, calls=tuple(calls))
    problems = check_reply(reply, (SEARCH,))
    parsed = parse_calls(calls, {"search"})
    assert len(parsed.calls) + len(parsed.problems) == len(calls)
    assert all(len(m.text) <= MAX_QUOTED for m in repair(reply, problems))


def test_fallbacks_come_in_order_their_own_after_the_first_ones() -> None:
    configs = {c.name: c for c in (config("a", "b", "c"), config("b", "d"), config("c", "d"), config("d"))}
    assert candidates(configs, "a") == ("a", "b", "c", "d")
    assert candidates(configs, "d") == ("d",)


@pytest.mark.parametrize("fallbacks", [{"a": ["a"]}, {"a": ["b"], "b": ["c"], "c": ["b"]}])
def test_a_model_that_falls_back_on_itself_is_refused(fallbacks: dict[str, list[str]]) -> None:
    configs = {n: config(n, *fallbacks.get(n, ())) for n in "abc"}
    with pytest.raises(FlyballError) as caught:
        candidates(configs, "a")
    assert caught.value.code == "fallback_cycle" and " -> " in caught.value.why


def test_a_fallback_that_is_not_configured_is_named_with_the_nearest() -> None:
    with pytest.raises(FlyballError) as caught:
        candidates({"default": config("default", "smal"), "small": config("small")}, "default")
    assert caught.value.code == "unknown_model" and "small" in caught.value.fix and "default" in caught.value.why


def test_a_model_that_is_not_configured_is_refused() -> None:
    with pytest.raises(FlyballError, match="configured are: small") as caught:
        candidates({"small": config("small")}, "writer")
    assert caught.value.fix == "Write [models.writer] in flyball.toml."


def test_without_any_model_the_variable_that_names_one_is_told() -> None:
    with pytest.raises(FlyballError, match="no model is configured") as caught:
        candidates({}, "default")
    assert "FLYBALL_MODEL=openai:NAME" in caught.value.fix and "OPENAI_API_KEY" in caught.value.fix


def test_nearest_says_nothing_where_nothing_is_alike() -> None:
    assert (nearest("mdoel", ["model", "key"]), nearest("zzz", ["model"])) == ("model", "")


def test_an_error_keeps_its_facts_when_pickled() -> None:
    error = ModelError("rate_limited", "busy", "429", "wait", sent=True, retry_after_ms=1500, data={"status": 429})
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.kind, copy.code, copy.sent, copy.retryable, copy.retry_after_ms, copy.data) == (
        "rate_limited", "model_rate_limited", True, True, 1500, {"status": 429},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "sent", "retryable", "may_cost"),
    [
        ("rate_limited", True, True, False),
        ("timeout", True, True, True),
        ("timeout", False, True, False),
        ("unavailable", True, True, True),
        ("bad_request", True, False, False),
        ("auth", True, False, False),
        ("bad_reply", True, True, True),
        ("reply_too_large", True, False, True),
    ],
)
def test_each_kind_says_whether_to_try_again_and_what_it_may_cost(
    kind: str, sent: bool, retryable: bool, may_cost: bool
) -> None:
    error = ModelError(kind, "x", sent=sent)  # type: ignore[arg-type]
    assert (error.retryable, error.may_cost) == (retryable, may_cost)


def test_an_error_may_say_itself_whether_to_try_again() -> None:
    assert not ModelError("rate_limited", "no credit", sent=True, retryable=False).retryable


def test_a_model_is_priced_under_its_own_name_unless_said_otherwise() -> None:
    plain = ModelConfig(name="default", model="gpt-5-mini")
    assert plain.priced_as == "gpt-5-mini"
    assert msgspec.structs.replace(plain, price="mine").priced_as == "mine"
    assert ModelConfig(name="default", adapter="scripted", model="desk").priced_as == "scripted"


@given(st.text())
def test_the_pieces_of_a_text_are_its_words_and_together_the_text(text: str) -> None:
    told = pieces(text)
    assert "".join(told) == text and len(told) == max(len(text.split()), bool(text))


def test_what_breaks_off_after_it_began_may_cost_whatever_its_kind() -> None:
    error = ModelError("rate_limited", "slow down", sent=True)
    assert not error.may_cost
    error.begun = True
    assert error.may_cost


def test_a_model_takes_what_its_adapter_carries_unless_it_says_less() -> None:
    assert ModelConfig(name="m", adapter="gemini").takes("application/pdf")
    assert not ModelConfig(name="m", adapter="gemini").takes("image/gif")
    assert not ModelConfig(name="m", files=()).takes("image/png")
    assert not ModelConfig(name="m", adapter="elsewhere").takes("image/png")


def test_the_files_of_a_request_are_those_of_its_messages_each_once() -> None:
    file = Artifact(digest="d", name="n", media_type="image/png", size=1)
    shown = (Message(role="user"), Message(role="user", artifacts=(file, file)))
    assert ModelRequest(model="m", messages=shown).artifacts == (file,)
