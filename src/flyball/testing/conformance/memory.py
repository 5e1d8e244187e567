"""What every adapter of `ports.memory` does. Run each check of `CHECKS` on a function that opens your index:

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_it_is_an_index_of_memories(check, tmp_path):
        await check(lambda: open_it(tmp_path))

Each call of the function opens the same index again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from msgspec.structs import replace

from flyball.core.memory_index import Cursor, Drop, Indexed, Sought
from flyball.core.relevance import words
from flyball.core.useful import Usage
from flyball.ports.memory import MemoryIndex

Opens: TypeAlias = Callable[[], MemoryIndex]

KIM: Final = "0f" * 16
LEE: Final = "a5" * 16
READ: Final = Cursor(index=7, epoch=2)


def row(
    id: str, text: str, *, owner: str = KIM, about: str = "drinks", created: int = 1, expires: int = 100
) -> Indexed:
    """A memory as it is found."""
    return Indexed(
        id=id, record=f"r/{id}", owner=owner, by=owner, about=words(about), words=words(text), created=created,
        expires=expires, bytes=len(text),
    )  # fmt: skip


def sought(query: str, *, owner: str = KIM, now: int = 10, limit: int = 10) -> Sought:
    """A query."""
    return Sought(owner=owner, words=words(query), now=now, limit=limit)


async def found(index: MemoryIndex, query: Sought, tenant: str = "acme") -> list[str]:
    """The ids of what an index finds, in order of the ids."""
    return sorted(one.row.id for one in await index.search(tenant, query))


async def what_was_put_is_found_by_its_words_and_by_what_it_is_about(opens: Opens) -> None:
    """And comes back as it was put."""
    index = opens()
    tea = row("m-1", "Kim likes Assam-tea, «hot»")
    await index.apply("acme", [tea, row("m-2", "it rains")], READ)
    assert await found(index, sought("which tea?")) == ["m-1"]
    assert await found(index, sought("what are the drinks")) == ["m-1", "m-2"]
    assert await found(index, sought("steel")) == await found(index, sought("")) == []
    assert [one.row for one in await index.search("acme", sought("assam"))] == [tea]
    await index.close()


async def an_index_is_there_again_after_it_was_closed(opens: Opens) -> None:
    """Its cursor too."""
    index = opens()
    await index.apply("acme", [row("m-1", "Kim likes tea")], READ)
    await index.close()
    again = opens()
    assert await found(again, sought("tea")) == ["m-1"]
    assert (await again.held("acme", KIM, 10)).cursor == READ
    await again.close()


async def an_index_begins_before_the_log(opens: Opens) -> None:
    """With nothing in it."""
    index = opens()
    held = await index.held("acme", KIM, 0)
    assert (held.cursor, held.tenant) == (Cursor(), Usage(items=0, bytes=0))
    assert await index.rows("acme") == []
    await index.close()


async def nobody_finds_what_is_of_another_tenant_or_owner(opens: Opens) -> None:
    """Nor what has expired."""
    index = opens()
    await index.apply("acme", [row("m-1", "tea"), row("m-2", "tea", owner=LEE)], READ)
    await index.apply("other", [row("m-3", "tea")], READ)
    assert await found(index, sought("tea")) == ["m-1"]
    assert await found(index, sought("tea", owner=LEE)) == ["m-2"]
    assert await found(index, sought("tea", owner=LEE), "other") == []
    assert await found(index, sought("tea", now=100)) == []
    await index.close()


async def a_query_is_words_and_never_syntax(opens: Opens) -> None:
    """Whatever an engine's own operators are."""
    index = opens()
    await index.apply("acme", [row("m-1", "tea and near or not"), row("m-2", "gin", owner=LEE)], READ)
    for query in ('"tea', "tea* AND (", "owner : gin", "NEAR(tea gin, 2)", "^tea", "tea -gin", "{x} : tea", "' OR 1=1"):
        told = Sought(owner=KIM, words=tuple(query.split()), now=10, limit=10)
        assert set(await found(index, told)) <= {"m-1"}, query
    await index.close()


async def rows_come_in_order_and_by_what_is_named(opens: Opens) -> None:
    """A page at a time."""
    index = opens()
    put = [row("m-3", "c"), row("m-1", "a", about="work"), row("m-2", "b", owner=LEE), row("m-4", "d", expires=5)]
    await index.apply("acme", put, READ)
    assert [r.id for r in await index.rows("acme", now=10)] == ["m-1", "m-2", "m-3"]
    assert [r.id for r in await index.rows("acme", after="m-1", limit=1)] == ["m-2"]
    assert [r.id for r in await index.rows("acme", owner=KIM, about=("drink",), now=10)] == ["m-3"]
    assert [r.id for r in await index.rows("acme", id="m-4")] == ["m-4"]
    await index.close()


async def what_is_put_again_stands_for_what_was_there(opens: Opens) -> None:
    """Under its id."""
    index = opens()
    await index.apply("acme", [row("m-1", "Kim likes tea")], READ)
    await index.apply("acme", [row("m-1", "Kim likes gin", expires=200)], READ)
    assert await found(index, sought("tea")) == [] and await found(index, sought("gin", now=150)) == ["m-1"]
    assert (await index.held("acme", KIM, 10)).tenant == Usage(items=1, bytes=len("Kim likes gin"))
    await index.close()


async def what_is_dropped_is_gone(opens: Opens) -> None:
    """What has expired with it, and everything where the index is made afresh."""
    index = opens()
    await index.apply("acme", [row("m-1", "tea"), row("m-2", "tea", expires=20), row("m-3", "tea")], READ)
    await index.apply("acme", [Drop("m-1"), Drop("m-9")], READ, now=20)
    assert [r.id for r in await index.rows("acme")] == ["m-3"] == await found(index, sought("tea"))
    await index.apply("acme", [row("m-4", "tea")], Cursor(index=1), afresh=True)
    assert [r.id for r in await index.rows("acme")] == ["m-4"] == await found(index, sought("tea"))
    assert (await index.held("acme", KIM, 0)).cursor == Cursor(index=1)
    await index.close()


async def what_is_kept_is_counted_by_all_and_by_whoever_wrote_it(opens: Opens) -> None:
    """Not what has expired."""
    index = opens()
    await index.apply("acme", [row("m-1", "tea"), row("m-2", "coffee", owner=LEE), row("m-3", "gin", expires=5)], READ)
    held = await index.held("acme", LEE, 10)
    assert (held.tenant, held.principal) == (Usage(items=2, bytes=9), Usage(items=1, bytes=6))
    await index.close()


async def the_likeliest_are_found_first(opens: Opens) -> None:
    """Where there are more than are asked for."""
    index = opens()
    put = [row(f"m-{n}", f"tea number {n} and some more words beside it") for n in range(20)]
    await index.apply("acme", [*put, row("m-x", "green tea")], READ)
    assert [one.row.id for one in await index.search("acme", sought("green tea", limit=1))] == ["m-x"]
    await index.close()


async def a_vector_comes_back(opens: Opens) -> None:
    """As near as the index keeps it."""
    index = opens()
    await index.apply("acme", [replace(row("m-1", "tea"), vector=(0.5, -0.25))], replace(READ, model="e-1"))
    [back] = await index.rows("acme")
    assert back.vector == (0.5, -0.25) and (await index.held("acme", KIM, 0)).cursor.model == "e-1"
    await index.close()


CHECKS: Final[tuple[Callable[[Opens], Awaitable[None]], ...]] = (
    what_was_put_is_found_by_its_words_and_by_what_it_is_about,
    an_index_is_there_again_after_it_was_closed,
    an_index_begins_before_the_log,
    nobody_finds_what_is_of_another_tenant_or_owner,
    a_query_is_words_and_never_syntax,
    rows_come_in_order_and_by_what_is_named,
    what_is_put_again_stands_for_what_was_there,
    what_is_dropped_is_gone,
    what_is_kept_is_counted_by_all_and_by_whoever_wrote_it,
    the_likeliest_are_found_first,
    a_vector_comes_back,
)
