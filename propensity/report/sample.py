"""Samples of logged rows, one per model, each row as likely as any other: memory does not grow with the log."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SIZE = 4_000


@dataclass
class Sample:
    """The rows with the smallest of the numbers that were drawn for all: as good as drawing them without putting back.

    The draws come from a fixed seed: the same log gives the same sample.
    """

    features: int
    size: int = SIZE
    rows: Floats = field(init=False)
    drawn: Floats = field(init=False)
    _random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rows, self.drawn = np.empty((0, self.features)), np.empty(0)
        self._random = np.random.default_rng(0)

    def add(self, rows: Floats) -> None:
        """Offer rows, shape (n, features)."""
        drawn = self._random.random(len(rows))
        if len(self.drawn) >= self.size:
            good = drawn < self.drawn.max()
            rows, drawn = rows[good], drawn[good]
        if not len(drawn):
            return
        self.rows, self.drawn = np.concatenate([self.rows, rows]), np.concatenate([self.drawn, drawn])
        if len(self.drawn) > self.size:
            keep = np.sort(np.argpartition(self.drawn, self.size)[: self.size])
            self.rows, self.drawn = self.rows[keep], self.drawn[keep]
