"""The one way for a command to end badly: a line for a person, and exit status 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click


class Failure(click.ClickException):
    """What went wrong, why, and what to do. Exit status 1."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"brokergate: {self.format_message()}", file=file, err=file is None)


@contextmanager
def told(*expected: type[BaseException]) -> Iterator[None]:
    """Turn errors whose own text is meant for a person into a `Failure`."""
    try:
        yield
    except expected as error:
        raise Failure(_words(error)) from error


def _words(error: BaseException) -> str:
    """The system's own errors without their number: `FILE: No such file or directory`."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    words = error.strerror
    return f"{error.filename}: {words}" if isinstance(error.filename, str) else words
