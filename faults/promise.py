"""What a promise is, how hard it is tried, and what came out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faults.world import World


class Scale(Enum):
    """How hard: ``FULL`` as the promise states its figure, ``SHORT`` the same steps in seconds, for the tests."""

    FULL = "full"
    SHORT = "short"

    def of(self, *, full: int, short: int) -> int:
        """The number for this scale."""
        return full if self is Scale.FULL else short


class NotPossible(Exception):
    """This machine does not allow the fault; the message says what is missing. Nothing is proved then."""


@dataclass(frozen=True)
class Result:
    """What came out.

    Attributes
    ----------
    passed : bool or None
        None: not tried, and ``figure`` says why.
    figure : str
        The numbers measured, beside those promised.
    tried : str
        What was done.
    """

    passed: bool | None
    figure: str
    tried: str


@dataclass(frozen=True)
class Promise:
    """One line of the catalogue.

    Attributes
    ----------
    ids : tuple of str
        Promises that are so closely related that one experiment shows them all.
    needs : str
        Figure that must be reached.
    """

    ids: tuple[str, ...]
    text: str
    needs: str
    run: Callable[[World, Scale], Result]

    @property
    def name(self) -> str:
        return "+".join(self.ids)
