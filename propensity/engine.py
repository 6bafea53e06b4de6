"""What computes margins and contributions of one booster: flat trees and tables where they can be had, XGBoost itself otherwise.

Flat trees give the very bits that XGBoost gives, which is checked for each booster before they are used. Tables are exact TreeSHAP; they
and XGBoost's own agree up to its float32 rounding.
"""

from __future__ import annotations

import logging
import threading

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from propensity.shapley import NoTables, Tables, build_tables
from propensity.trees import Floats32, NotFlat, Trees, probe_rows, read_trees

logger = logging.getLogger("propensity.engine")
# Up to here flat trees take less time than XGBoost (docs/decisions.md); the bits are the same on both sides.
FLAT_ROWS = 48
PROBE_ROWS = 128
# From here a second thread of XGBoost is worth waking.
LONG_ROWS = 1_000
# With every level each step asks all trees again, also those that ended long before.
MAX_DEPTH = 16


class Engine:
    """Margins and contributions of a booster. Safe to share between threads.

    Attributes
    ----------
    notes : tuple of str
        Why flat trees or tables are not used for this booster; empty where both are.
    """

    def __init__(self, booster: xgb.Booster, model_json: bytes) -> None:
        self._booster = booster
        self._lock = threading.Lock()
        self._tables: Tables | None = None
        self._many_threads: xgb.Booster | None = None
        self.notes: tuple[str, ...] = ()
        self._trees = self._read(model_json)

    def __repr__(self) -> str:
        return f"Engine(margins={self.margins!r}, effects={self.effects!r}, notes={self.notes!r})"

    @property
    def margins(self) -> str:
        """``flat`` or ``xgboost``: what scores up to ``FLAT_ROWS`` rows; more rows are always scored by XGBoost."""
        return "xgboost" if self._trees is None else "flat"

    @property
    def effects(self) -> str:
        """``tables`` or ``xgboost``: what explains rows. Tables that were not needed yet are built first."""
        return "xgboost" if self._prepared() is None else "tables"

    @property
    def trees(self) -> Trees | None:
        """The flat trees, None where XGBoost itself is used."""
        return self._trees

    @property
    def tables(self) -> Tables | None:
        """The tables, built at the first call; None where XGBoost itself is used."""
        return self._prepared()

    def margin(self, matrix: Floats32, threads: int = 1) -> Floats32:
        """Margin per row, shape (n,), float32: the same bits for a row alone and in any list, and from any number of ``threads``."""
        if self._trees is not None and len(matrix) <= FLAT_ROWS:
            return self._trees.margin(matrix)
        if threads > 1 and len(matrix) >= LONG_ROWS:
            return self._margin_by_threads(matrix, threads)
        return self._margin_by_xgboost(matrix)

    def contributions(self, matrix: Floats32) -> npt.NDArray[np.float64]:
        """What each feature adds to the margin, shape (n, features + 1); the last column is the base value. Exact TreeSHAP."""
        tables = self._prepared()
        if tables is None or self._trees is None:
            return self.contributions_by_xgboost(matrix)
        return tables.contributions(self._trees.passed(matrix))

    def contributions_by_xgboost(self, matrix: Floats32) -> npt.NDArray[np.float64]:
        """The same from XGBoost's own code."""
        found: Floats32 = self._booster.predict(xgb.DMatrix(matrix, nthread=1), pred_contribs=True)
        return found.astype(np.float64)

    def check(self, matrix: Floats32) -> None:
        """Use flat trees no longer where they give any of these rows other bits than XGBoost; the log and ``notes`` say so."""
        trees = self._trees
        if trees is not None and not _same_bits(trees.margin(matrix), self._margin_by_xgboost(matrix)):
            self._trees = None
            self._note("flat trees are not used: they differ from XGBoost on rows that were checked")

    def _margin_by_xgboost(self, matrix: Floats32) -> Floats32:
        found: Floats32 = self._booster.inplace_predict(matrix, predict_type="margin")
        return found

    def _margin_by_threads(self, matrix: Floats32, threads: int) -> Floats32:
        with self._lock:
            if self._many_threads is None:
                # A booster with a number of its own heeds no other, so that this takes a second one.
                self._many_threads = self._booster.copy()
                self._many_threads.set_param({"nthread": 0})
        # It holds for this thread alone, until it is set again; XGBoost cannot take it back.
        xgb.set_config(nthread=threads)
        found: Floats32 = self._many_threads.inplace_predict(matrix, predict_type="margin")
        return found

    def _read(self, model_json: bytes) -> Trees | None:
        try:
            trees = read_trees(model_json)
            if trees.depth > MAX_DEPTH:
                raise NotFlat(f"the trees have more than {MAX_DEPTH} levels")
            rows = probe_rows(trees, PROBE_ROWS)
            if not _same_bits(trees.margin(rows), self._margin_by_xgboost(rows)):
                raise NotFlat("they differ from XGBoost on rows made of their own thresholds")
            return trees
        except NotFlat as exc:
            self._note(f"flat trees are not used: {exc}")
            return None

    def _prepared(self) -> Tables | None:
        with self._lock:
            if self._tables is None and self._trees is not None and not any("tables" in note for note in self.notes):
                try:
                    self._tables = build_tables(self._trees)
                except NoTables as exc:
                    self._note(f"tables are not used: {exc}")
            return self._tables

    def _note(self, note: str) -> None:
        self.notes += (note,)
        logger.warning("%s; XGBoost does this work", note, extra={"fields": {"event": "engine", "note": note}})


def _same_bits(one: Floats32, other: Floats32) -> bool:
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()
