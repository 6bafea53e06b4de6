"""Boosters that XGBoost does not survive, each under digests that fit: what a broken trainer, or somebody with rights, could promote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

from propensity.model import Model

Document = dict[str, Any]
Change = Callable[[Document], None]


def under_fitting_digests(model: Model, model_json: bytes) -> Model:
    """A package of these bytes whose manifest names them: only its content is wrong."""
    manifest = replace(model.manifest, model_sha256=hashlib.sha256(model_json).hexdigest())
    return Model(model.campaign, manifest, model.booster, model_json)


def _tree(document: Document) -> Document:
    found: Document = document["learner"]["gradient_booster"]["model"]["trees"][0]
    return found


def _node(name: str, value: Any, at: int = 0) -> Change:
    def change(document: Document) -> None:
        _tree(document)[name][at] = value

    return change


def _param(name: str, value: str) -> Change:
    def change(document: Document) -> None:
        document["learner"]["learner_model_param"][name] = value

    return change


def _tree_param(name: str, value: str) -> Change:
    def change(document: Document) -> None:
        _tree(document)["tree_param"][name] = value

    return change


def _cycle(document: Document) -> None:
    """The root's children lead back to the root: no row ever reaches a leaf."""
    tree = _tree(document)
    tree["left_children"][0] = tree["right_children"][0] = 1
    tree["left_children"][1] = tree["right_children"][1] = 0


def _deep_cycle(document: Document) -> None:
    """A chain of twelve splits and then a turn back: beyond what XGBoost lays out flat, so that it walks in circles."""
    tree = _tree(document)
    chain = 14
    for name, value in (("left_children", -1), ("right_children", -1), ("split_indices", 0), ("split_conditions", 0.0), ("split_type", 0)):
        tree[name] = [value] * chain
    for name in ("default_left", "sum_hessian", "base_weights", "loss_changes", "parents"):
        tree[name] = ([1] * chain) if name == "default_left" else [1.0] * chain if name != "parents" else [0] * chain
    for at in range(chain - 1):
        tree["left_children"][at] = tree["right_children"][at] = at + 1
    tree["left_children"][chain - 2] = tree["right_children"][chain - 2] = chain - 3
    tree["tree_param"]["num_nodes"] = str(chain)


def _category(document: Document) -> None:
    tree = _tree(document)
    tree["split_type"][0] = 1
    tree |= {"categories": [1], "categories_nodes": [0], "categories_segments": [2**40], "categories_sizes": [2**40]}


CHANGES: dict[str, Change] = {
    "a cycle at the root": _cycle,
    "a cycle deep down": _deep_cycle,
    "a negative child": _node("left_children", -5),
    "a child far away": _node("left_children", 2**30),
    "a negative column": _node("split_indices", -1),
    "a column far away": _node("split_indices", 10**6),
    "arrays that are short": lambda document: _tree(document).update(left_children=[1]),
    "a huge number of nodes": _tree_param("num_nodes", "2000000000"),
    "huge leaves": _tree_param("size_leaf_vector", "1000000"),
    "a huge number of classes": _param("num_class", "2000000000"),
    "a huge number of targets": _param("num_target", "2000000000"),
    "no columns": _param("num_feature", "0"),
    "a tree for a margin far away": lambda d: d["learner"]["gradient_booster"]["model"]["tree_info"].__setitem__(0, 1_000_000),
    "a tree id far away": lambda document: _tree(document).update(id=10**8),
    "categories of its own": _category,
}


def broken(model: Model, name: str) -> Model:
    """The package with one of `CHANGES`, or with bytes that are no booster at all (`TEXTS`)."""
    if name in TEXTS:
        return under_fitting_digests(model, TEXTS[name](model.model_json))
    document = deepcopy(json.loads(model.model_json))
    CHANGES[name](document)
    return under_fitting_digests(model, json.dumps(document).encode())


def _twice(data: bytes) -> bytes:
    """The root's children named twice, the second time as a cycle: which counts depends on who reads."""
    at = data.index(b'"tree_param"')
    size = len(json.loads(data)["learner"]["gradient_booster"]["model"]["trees"][0]["left_children"])
    again = json.dumps([0] * size).encode()
    return data[:at] + b'"left_children":' + again + b',"right_children":' + again + b"," + data[at:]


TEXTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _data: b"",
    "truncated": lambda data: data[:-100],
    "nested": lambda data: data[:-1] + b',"x":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
    "nested without an end": lambda data: data[:-1] + b',"x":' + b"[" * 2_000_000,
    "no JSON": lambda _data: b"{L\0\0\0\0\0\0\0",
    "a pickle": lambda _data: b"\x80\x04N.",
    "keys twice": _twice,
}
