"""The one root error: what went wrong, why, and what to do about it, with the facts kept in fields.

Rules:

* ``code`` is a stable word for programs; ``what``, ``why`` and ``fix`` are sentences for people.
* Facts (a limit, a pointer, an id) live in ``data``, so that nobody parses a message.
* An error survives pickling and copying with every field, subclasses included.
* A denial by policy is a verdict, not an error.

>>> print(FlyballError(code="too_large", what="too many arguments", why="12, at most 10", fix="Send less"))
too many arguments: 12, at most 10. Send less
"""

from __future__ import annotations

from collections.abc import Callable, Mapping


class FlyballError(Exception):
    """Root of every error Flyball raises on purpose.

    Arguments: ``code`` (stable, snake_case), ``what`` happened, ``why``, how to ``fix`` it, ``data`` with the facts.
    """

    def __init__(
        self, code: str, what: str, why: str = "", fix: str = "", data: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(code, what, why, fix)
        self.code = code
        self.what = what
        self.why = why
        self.fix = fix
        self.data: Mapping[str, object] = dict(data or {})

    def __str__(self) -> str:
        head = f"{self.what}: {self.why}" if self.why else self.what
        if not self.fix:
            return head
        return f"{head.rstrip('.')}. {self.fix}"

    def __reduce__(self) -> tuple[Callable[..., FlyballError], tuple[object, ...]]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


def said(error: BaseException, most: int = 4000) -> str:
    """What an error says of itself, in at most `most` characters that every record can hold.

    The class is named where it tells something: Flyball's own errors are sentences already.

    >>> said(ValueError("no such day"))
    'ValueError: no such day'
    >>> said(FlyballError("late", "too late", fix="Hurry."))
    'too late. Hurry.'
    """
    try:
        words = str(error)
    except Exception:  # noqa: BLE001 - somebody else's class: an error that cannot be shown is still an error
        words = ""
    if isinstance(error, FlyballError) and words:
        return recordable(words, most)
    return recordable(f"{type(error).__name__}: {words}" if words else type(error).__name__, most)


def recordable(text: str, most: int = 4000) -> str:
    """The text without lone surrogates, which no record can hold, and no longer than `most`."""
    return text[:most].encode(errors="backslashreplace").decode()[:most]


class Superseded(BaseException):
    """This driver may write nothing more: another one has its run, or the journal cannot say what is durable.

    Not an Exception, so that no handler in a flow or tool can go on after it. `error` says what happened.
    """

    def __init__(self, error: FlyballError) -> None:
        super().__init__(str(error))
        self.error = error


def _rebuild(kind: type[FlyballError], args: tuple[object, ...], fields: dict[str, object]) -> FlyballError:
    # Not kind(...): a subclass may take other arguments than it keeps.
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error
