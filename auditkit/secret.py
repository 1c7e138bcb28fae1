"""Bytes that do not show themselves: not as text, not in a log, not among a traceback's locals."""


class Secret(bytes):
    """The same bytes, and a `repr` that says nothing. What is cut out of it is bare again."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__
