"""Exact TreeSHAP from tables: what each feature adds to a margin, for a small part of the price of XGBoost's own.

The trees are cut into small subtrees. What the leaves of one subtree give to its features depends only on the answers to the tests on
its path and within it: at most a few hundred patterns, each computed once. To explain a row is to look up one entry per subtree.

Sources: Lundberg et al., "From local explanations to global understanding with explainable AI for trees", 2020, algorithm 2 (the
values); Yang, "Fast TreeSHAP: Accelerating SHAP Value Computation for Trees", 2021, algorithm 3 (patterns computed ahead).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensity.trees import Bits, Floats32, Positions, Trees

Floats = npt.NDArray[np.float64]
SUBTREE_HEIGHT = 2
MAX_TABLE_BYTES = 48 << 20
MAX_TESTS = 16
# Rows are explained a few at a time, so that what they need stays in the processor's cache.
CHUNK_BYTES = 4 << 20
BUILD_ENTRIES = 1 << 17


class NoTables(ValueError):
    """These trees have no tables; the message says why. It never leaves `propensity.engine`."""


@dataclass(frozen=True)
class Subtrees:
    """Subtrees of one shape: as many tests above them, and the same tests within.

    Attributes
    ----------
    path : intp array, shape (subtrees, k)
        The nodes above, from the root of the tree.
    taken : intp array, shape (subtrees, k)
        The child by which the path goes on.
    inner : intp array, shape (subtrees, m)
        The nodes within that test something: its root, then its left child, then its right one, as far as they do.
    two_left, two_right : bool
        Whether the root's left and right child test something.
    root : intp array, shape (subtrees,)
    """

    root: Positions
    path: Positions
    taken: Positions
    inner: Positions
    two_left: bool
    two_right: bool

    @property
    def tests(self) -> int:
        return int(self.path.shape[1] + self.inner.shape[1])

    def leaves(self, trees: Trees) -> Iterator[tuple[Positions, list[tuple[int, int, Positions]]]]:
        """Each leaf position with the tests within that lead to it: (column of ``inner``, answer, child)."""
        if not self.inner.shape[1]:
            yield self.root, []
            return
        column = 0
        for answer, further in ((0, self.two_left), (1, self.two_right)):
            child = trees.left[self.root] + answer
            first = (0, answer, child)
            if not further:
                yield child, [first]
                continue
            column += 1
            for second in (0, 1):
                leaf = trees.left[child] + second
                yield leaf, [first, (column, second, leaf)]


@dataclass(frozen=True)
class Tables:
    """Contributions by pattern of answers.

    Attributes
    ----------
    base : what every row has before any feature counts, float64
    asked : for each place in a pattern the tests that are asked, for the subtrees that have so many; longest patterns first
        A number beyond the tests stands for the opposite of a test.
    first : intp array, shape (subtrees,)
        The row of ``table`` of each subtree's pattern 0.
    table : float32 array, shape (patterns of all subtrees, widest)
        The contributions to the features of the subtree, in their own order.
    order : intp array
        The used columns of all subtrees side by side, sorted by feature.
    starts, present : where each feature begins in ``order``, and which feature it is
    """

    features: int
    base: float
    asked: tuple[Positions, ...]
    first: Positions
    table: Floats32
    order: Positions
    starts: Positions
    present: Positions

    @property
    def size_bytes(self) -> int:
        return self.table.nbytes + self.order.nbytes + self.first.nbytes + sum(a.nbytes for a in self.asked)

    def contributions(self, passed: Bits) -> Floats:
        """What each feature adds to the margin, shape (n, features + 1); the last column is the base. ``passed``: `Trees.passed`."""
        out = np.zeros((len(passed), self.features + 1))
        out[:, -1] = self.base
        if len(self.order):
            a_row = 4 * (self.table.shape[1] * len(self.first) + len(self.order)) + 8 * len(self.first) + 2 * passed.shape[1]
            step = max(1, CHUNK_BYTES // a_row)
            for start in range(0, len(passed), step):
                self._chunk(passed[start : start + step], out[start : start + step])
        return out

    def _chunk(self, passed: Bits, out: Floats) -> None:
        answers = np.concatenate([passed, ~passed], axis=1).view(np.uint8)
        pattern = np.zeros((len(passed), len(self.first)), dtype=np.uint16)
        for tests in self.asked:
            part = pattern[:, : len(tests)]
            part += part
            part += answers.take(tests, axis=1)
        entries = self.table.take(self.first + pattern, axis=0)
        by_feature = entries.reshape(len(passed), -1).take(self.order, axis=1)
        out[:, self.present] = np.add.reduceat(by_feature, self.starts, axis=1)


def build_tables(trees: Trees) -> Tables:
    """Tables for these trees. Raises NoTables where they would be too large, or where a node that splits has no cover."""
    inner = trees.feature >= 0
    if not (trees.cover[inner] > 0).all() or (trees.cover < 0).any():
        raise NoTables("a node that splits was reached by no training row")
    shapes = sorted(_subtrees(trees, inner), key=lambda shape: -shape.tests)
    slots = [_slots(trees, shape) for shape in shapes]
    width = max(features.shape[1] for _, features in slots)
    patterns = np.concatenate([np.full(len(shape.root), 1 << shape.tests) for shape in shapes])
    if shapes[0].tests > MAX_TESTS or patterns.sum() * width * 4 > MAX_TABLE_BYTES:
        raise NoTables(f"the tables would take more than {MAX_TABLE_BYTES >> 20} MiB")
    first = np.cumsum(np.append(0, patterns[:-1])).astype(np.intp)
    table = np.zeros((int(patterns.sum()), width), dtype=np.float32)
    base, at = float(trees.base), 0
    for shape, (slot, features) in zip(shapes, slots, strict=True):
        block = table[first[at] : first[at] + (len(shape.root) << shape.tests)].reshape(len(shape.root), 1 << shape.tests, width)
        base += _fill(trees, shape, slot, block[:, :, : features.shape[1]])
        at += len(shape.root)
    owner = np.full((len(first), width), -1, dtype=np.intp)
    at = 0
    for _, features in slots:
        owner[at : at + len(features), : features.shape[1]] = features
        at += len(features)
    order = np.argsort(owner.ravel(), kind="stable")
    order = order[np.count_nonzero(owner < 0) :]
    present, starts = np.unique(owner.ravel()[order], return_index=True)
    return Tables(trees.features, base, _asked(trees, shapes), first, table, order, starts, present)


def _subtrees(trees: Trees, inner: Bits) -> Iterator[Subtrees]:
    """The trees cut into subtrees of at most ``SUBTREE_HEIGHT`` levels, each as high as can be."""
    parent, height = _parents(trees, inner), _heights(trees, inner)
    low = height <= SUBTREE_HEIGHT
    roots = np.flatnonzero(low & ((parent < 0) | ~low[parent]))
    depth = _depths(parent, roots)
    left, right = trees.left[roots], np.minimum(trees.left[roots] + 1, len(parent) - 1)
    kinds = np.stack([depth, height[roots] > 0, (height[roots] > 1) & inner[left], (height[roots] > 1) & inner[right]], axis=1)
    for kind in np.unique(kinds, axis=0):
        k, tests, two_left, two_right = kind.tolist()
        some = roots[(kinds == kind).all(axis=1)]
        within = [some][: int(tests)]
        within += [trees.left[some]] if two_left else []
        within += [trees.left[some] + 1] if two_right else []
        taken = np.empty((len(some), k), dtype=np.intp)
        path = np.empty_like(taken)
        node = some
        for place in range(k - 1, -1, -1):
            taken[:, place], path[:, place] = node, parent[node]
            node = parent[node]
        stacked = np.stack(within, axis=1) if within else np.empty((len(some), 0), dtype=np.intp)
        yield Subtrees(some, path, taken, stacked, bool(two_left), bool(two_right))


def _parents(trees: Trees, inner: Bits) -> Positions:
    parent = np.full(len(trees.left), -1, dtype=np.intp)
    nodes = np.flatnonzero(inner)
    parent[trees.left[nodes]] = nodes
    parent[trees.left[nodes] + 1] = nodes
    return parent


def _heights(trees: Trees, inner: Bits) -> Positions:
    height = np.zeros(len(trees.left), dtype=np.intp)
    nodes = np.flatnonzero(inner)
    for _ in range(trees.depth):
        height[nodes] = 1 + np.maximum(height[trees.left[nodes]], height[trees.left[nodes] + 1])
    return height


def _depths(parent: Positions, nodes: Positions) -> Positions:
    depth = np.zeros(len(nodes), dtype=np.intp)
    above = parent[nodes]
    while (above >= 0).any():
        depth += above >= 0
        above = np.where(above >= 0, parent[above], -1)
    return depth


def _slots(trees: Trees, shape: Subtrees) -> tuple[Positions, Positions]:
    """Which of a subtree's own features each test asks for, shape (subtrees, tests); and which features these are, -1 for none."""
    asked = trees.feature[np.concatenate([shape.path, shape.inner], axis=1)]
    if not asked.shape[1]:
        return asked, asked
    order = np.argsort(asked, axis=1, kind="stable")
    ranked = np.take_along_axis(asked, order, axis=1)
    fresh = np.concatenate([np.zeros((len(asked), 1), dtype=np.intp), ranked[:, 1:] != ranked[:, :-1]], axis=1)
    number = np.cumsum(fresh, axis=1, dtype=np.intp)
    slot = np.empty_like(asked)
    np.put_along_axis(slot, order, number, axis=1)
    features = np.full((len(asked), int(number.max()) + 1), -1, dtype=np.intp)
    np.put_along_axis(features, slot, asked, axis=1)
    return slot, features


def _asked(trees: Trees, shapes: list[Subtrees]) -> tuple[Positions, ...]:
    """For each place of a pattern the tests of the subtrees that have so many, longest patterns first."""
    opposite = len(trees.column)
    rows = []
    for shape in shapes:
        went_left = shape.taken == trees.left[shape.path]
        above = trees.test[shape.path] + np.where(went_left, opposite, 0)
        rows.append(np.concatenate([above, trees.test[shape.inner]], axis=1))
    most = shapes[0].tests
    return tuple(np.concatenate([row[:, place] for row in rows if row.shape[1] > place]).astype(np.intp) for place in range(most))


def _fill(trees: Trees, shape: Subtrees, slot: Positions, block: Floats32) -> float:
    """Write the contributions of these subtrees, shape (subtrees, patterns, features); return what their leaves give to the base."""
    step, base = max(1, BUILD_ENTRIES // (block.shape[1] * max(1, block.shape[2]))), 0.0
    for leaf, within in shape.leaves(trees):
        for start in range(0, len(shape.root), step):
            some = slice(start, start + step)
            part = [(column, answer, child[some]) for column, answer, child in within]
            mask, wanted, share = _leaf_path(trees, shape, slot, some, part, block.shape[2])
            value = trees.value[leaf[some]].astype(np.float64)
            base += float((value * share.prod(axis=1)).sum())
            if block.shape[2]:
                block[some] += _leaf_values(value, share, mask, wanted, shape.tests)
    return base


def _leaf_path(
    trees: Trees, shape: Subtrees, slot: Positions, some: slice, within: list[tuple[int, int, Positions]], features: int
) -> tuple[Positions, int, Floats]:
    """For one leaf of each subtree: each feature's tests on the way, as a mask; the answers wanted; each feature's share of cover."""
    path, k = shape.path[some], shape.path.shape[1]
    rows = np.arange(len(path))
    mask, share, wanted = np.zeros((len(path), features), dtype=np.intp), np.ones((len(path), features)), 0
    steps = [(place, 1, path[:, place], shape.taken[some, place]) for place in range(k)]
    steps += [(k + column, answer, shape.inner[some, column], child) for column, answer, child in within]
    for place, answer, node, child in steps:
        bit = 1 << (shape.tests - 1 - place)
        own = slot[some, place]
        mask[rows, own] |= bit
        wanted |= bit * answer
        share[rows, own] *= trees.cover[child].astype(np.float64) / trees.cover[node]
    return mask, wanted, share


def _leaf_values(value: Floats, share: Floats, mask: Positions, wanted: int, tests: int) -> Floats:
    """Shapley values of one leaf per subtree, by pattern of answers, shape (subtrees, patterns, features).

    A leaf counts in full for the features whose answers lead to it (``met``) and by its share of cover for the others. The weights of
    the Shapley value, k! (d - 1 - k)! / d!, are the integral of t^k (1 - t)^(d-1-k) over t from 0 to 1. The sum over all coalitions is
    therefore the integral of the product of ``t * met + (1 - t) * share`` over the other features: a polynomial of degree d - 1,
    which Gauss and Legendre's rule integrates exactly with d / 2 points.
    """
    features = mask.shape[1]
    points, weights = np.polynomial.legendre.leggauss((features + 1) // 2)
    t, weights = ((points + 1) / 2)[:, None], (weights / 2)[:, None]
    patterns = np.arange(1 << tests)
    met = ((patterns ^ wanted) & mask[:, :, None]) == 0
    unmet_factor = (1 - t) * share[:, None, :]
    met_factor = t + unmet_factor
    product = np.broadcast_to(weights * value[:, None, None], (len(value), len(t), len(patterns))).copy()
    for at in range(features):
        product *= np.where(met[:, None, at], met_factor[:, :, at, None], unmet_factor[:, :, at, None])
    # The product of the others is the whole product over the feature's own factor, which for an unmet feature cancels with its share.
    gain = ((1 - share[:, None, :]) / met_factor).transpose(0, 2, 1) @ product
    loss = (-1 / (1 - t)).T @ product
    found: Floats = np.where(met, gain, loss).transpose(0, 2, 1)
    return found
