"""Everything about scores that a report needs, added up by score: memory does not grow with the log.

Scores fall into `CELLS` cells of equal width. Order within a cell is lost, and nothing else: whatever is said of the best customers is
said of those from a cell upwards, and is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
CELLS = 1 << 16
STEP = 1 / CELLS
# What is added up per cell. Profits are expected ones (score x value - cost), REAL ones are what came (value or nothing, less the cost).
(
    ROWS,
    SCORES,
    PROFIT,
    CONTACTS,
    CONTACT_SCORES,
    CONTACT_PROFIT,
    KNOWN,
    KNOWN_SCORES,
    KNOWN_PROFIT,
    YES,
    REAL,
    KNOWN_CONTACTS,
    KNOWN_CONTACT_SCORES,
    KNOWN_CONTACT_PROFIT,
    CONTACT_YES,
    CONTACT_REAL,
) = range(16)
FIGURES = 16


@dataclass(frozen=True)
class Rows:
    """Predictions, one element per row: scores, decisions, whether the label is known and whether it is positive, and what a conversion is
    worth and a contact costs."""

    scores: Floats
    contact: Bools
    known: Bools
    yes: Bools
    value: Floats
    cost: Floats

    def figures(self) -> list[Floats | None]:
        """What each row adds to each figure, in their order; None stands for 1."""
        contact, known, yes = (flags.astype(np.float64) for flags in (self.contact, self.known, self.known & self.yes))
        profit = self.scores * self.value - self.cost
        real = yes * self.value - known * self.cost
        both = contact * known
        return [
            None,
            self.scores,
            profit,
            contact,
            contact * self.scores,
            contact * profit,
            known,
            known * self.scores,
            known * profit,
            yes,
            real,
            both,
            both * self.scores,
            both * profit,
            contact * yes,
            contact * real,
        ]


def add(sums: Floats, at: npt.NDArray[np.intp], rows: list[Floats | None]) -> None:
    """Add rows to their places in ``sums``, shape (figures, places)."""
    # Adding at the places that occur is far less work than at all of them, where there are few rows.
    places, inverse = np.unique(at, return_inverse=True)
    for number, weights in enumerate(rows):
        sums[number, places] += np.bincount(inverse, weights=weights, minlength=len(places))


@dataclass
class ScoreSums:
    """Sums by score; the best cells are the last."""

    sums: Floats = field(default_factory=lambda: np.zeros((FIGURES, CELLS)))

    def add(self, scores: Floats, rows: list[Floats | None]) -> None:
        """Add rows, as `Rows.figures` gives them."""
        add(self.sums, np.minimum((scores * CELLS).astype(np.intp), CELLS - 1), rows)

    def total(self, figure: int) -> float:
        """The sum of one figure over everything."""
        return float(self.sums[figure].sum())

    def count(self, figure: int) -> int:
        """The same, of a figure that counts."""
        return round(self.total(figure))
