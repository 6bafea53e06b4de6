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
# What is added up per cell.
ROWS, SCORES, CONTACTS, CONTACT_SCORES, KNOWN, KNOWN_SCORES, YES, KNOWN_CONTACTS, KNOWN_CONTACT_SCORES, CONTACT_YES = range(10)
FIGURES = 10


def figures(scores: Floats, contact: Bools, known: Bools, yes: Bools) -> list[Floats | None]:
    """What each row adds to each figure, in their order; None stands for 1."""
    contacts, knowns, positive = contact.astype(np.float64), known.astype(np.float64), (known & yes).astype(np.float64)
    both = contacts * knowns
    return [
        None,
        scores,
        contacts,
        contacts * scores,
        knowns,
        knowns * scores,
        positive,
        both,
        both * scores,
        positive * contacts,
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
        """Add rows, as `figures` describes them."""
        add(self.sums, np.minimum((scores * CELLS).astype(np.intp), CELLS - 1), rows)

    def total(self, figure: int) -> float:
        """The sum of one figure over everything."""
        return float(self.sums[figure].sum())

    def count(self, figure: int) -> int:
        """The same, of a figure that counts."""
        return round(self.total(figure))
