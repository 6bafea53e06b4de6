"""Model packages that must not serve: damaged files, and packages that are whole but wrong."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from faults.samples import make_model
from propensity.campaigns import campaign
from propensity.model import Manifest, Model


@dataclass(frozen=True)
class Package:
    """The two files, and the digest under which they are promoted."""

    manifest: bytes
    model_json: bytes
    digest: str


def damages() -> dict[str, Callable[[bytes, random.Random], bytes]]:
    """Ways in which a file is not what was written, by name."""
    return {
        "one bit": lambda data, draw: _with(data, at := draw.randrange(len(data)), bytes([data[at] ^ (1 << draw.randrange(8))])),
        "one digit": _other_digit,
        "cut short": lambda data, draw: data[: draw.randrange(len(data))],
        "empty": lambda _data, _draw: b"",
        "a hole": lambda data, draw: data[: (at := draw.randrange(len(data) - 1))] + data[at + draw.randint(1, min(500, len(data) - at)) :],
        "zeros": lambda data, draw: _with(data, draw.randrange(len(data)), bytes(min(512, len(data)))),
        "one byte more": lambda data, draw: data[: (at := draw.randrange(len(data) + 1))] + b" " + data[at:],
        "twice": lambda data, _draw: data + data,
        "noise": lambda data, draw: draw.randbytes(len(data)),
        "swapped halves": lambda data, _draw: data[len(data) // 2 :] + data[: len(data) // 2],
    }


def _with(data: bytes, at: int, new: bytes) -> bytes:
    return (data[:at] + new + data[at + len(new) :])[: len(data)]


def _other_digit(data: bytes, draw: random.Random) -> bytes:
    places = [at for at, byte in enumerate(data) if byte in b"0123456789"]
    at = draw.choice(places)
    return _with(data, at, b"%d" % ((data[at] - ord("0") + draw.randint(1, 9)) % 10))


def damaged(model: Model, count: int, seed: int) -> Iterator[tuple[str, Package]]:
    """Packages of which one file was damaged after it was written; every one was sound, and a model of its own, before."""
    draw = random.Random(seed)  # noqa: S311 - repeatable on purpose
    ways = list(damages().items())
    for number in range(count):
        manifest = replace(model.manifest, code_version=f"damaged-{number}").to_bytes()
        digest = hashlib.sha256(manifest).hexdigest()
        name, way = ways[(number // 2) % len(ways)]
        file, sound = ("manifest", manifest) if number % 2 else ("model", model.model_json)
        broken = way(sound, draw)
        while broken == sound:
            broken = way(sound, draw)
        package = Package(broken, model.model_json, digest) if number % 2 else Package(manifest, broken, digest)
        yield f"{name} in the {file}", package


def wrong(model: Model, rival: Model) -> dict[str, Package]:
    """Packages whose files and digests agree, of models that must not answer for this campaign, by what is wrong."""
    return {**_wrong_declarations(model), **_wrong_trees(model, rival), **_wrong_canaries(model), **_wrong_forms(model)}


def _sign(manifest: Manifest, model_json: bytes) -> Package:
    data = replace(manifest, model_sha256=hashlib.sha256(model_json).hexdigest()).to_bytes()
    return Package(data, model_json, hashlib.sha256(data).hexdigest())


def _wrong_declarations(model: Model) -> dict[str, Package]:
    manifest, text = model.manifest, model.model_json
    first, *others = manifest.features
    name, values = next((k, v) for k, v in manifest.categories.items() if len(v) > 2)
    ranks = manifest.ranks[name]

    def of(**changes: Any) -> Package:
        return _sign(replace(manifest, **changes), text)

    def category(new: tuple[Any, ...]) -> Package:
        return of(categories={**manifest.categories, name: new})

    def ranked(new: tuple[int, ...]) -> Package:
        return of(ranks={**manifest.ranks, name: new})

    other = make_model(campaign("purchase-propensity"))
    return {
        "features in another order": of(features=(*others, first)),
        "a feature fewer": of(features=tuple(others)),
        "a feature more": of(features=(*manifest.features, "shoe_size")),
        "a feature of another name": of(features=("years", *others)),
        "another campaign's name": of(campaign="purchase-propensity"),
        "another campaign's model": Package(other.manifest.to_bytes(), other.model_json, other.digest),
        "categories in another order": category((*values[1:], values[0])),
        "a category fewer": category(values[:-1]),
        "a category more": category((*values, "astronaut")),
        "ranks in another order": ranked((*ranks[1:], ranks[0])),
        "a rank fewer": ranked(ranks[:-1]),
        "no ranks": of(ranks={}),
        "another slope": of(slope=manifest.slope * 1.01),
        "another offset": of(offset=manifest.offset + 0.01),
        "a negative slope": of(slope=-manifest.slope),
    }


def _wrong_trees(model: Model, rival: Model) -> dict[str, Package]:
    def edited(change: Callable[[dict[str, Any]], None]) -> Package:
        tree: dict[str, Any] = json.loads(model.model_json)
        change(tree)
        return _sign(model.manifest, json.dumps(tree).encode())

    def trees(whole: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = whole["learner"]["gradient_booster"]["model"]["trees"]
        return found

    def swap_children(whole: dict[str, Any]) -> None:
        root = trees(whole)[0]
        root["left_children"][0], root["right_children"][0] = root["right_children"][0], root["left_children"][0]

    def swap_features(whole: dict[str, Any]) -> None:
        for tree in trees(whole):
            tree["split_indices"] = [(at + 1) % len(model.manifest.features) for at in tree["split_indices"]]

    def base_score(whole: dict[str, Any]) -> None:
        whole["learner"]["learner_model_param"]["base_score"] = "[9.9E-1]"

    def leaves(whole: dict[str, Any]) -> None:
        for tree in trees(whole):
            tree["split_conditions"] = [value * 1.1 for value in tree["split_conditions"]]

    return {
        "another model's trees": _sign(model.manifest, rival.model_json),
        "a tree fewer": _sign(model.manifest, bytes(model.booster[: model.manifest.rounds - 1].save_raw("json"))),
        "one tree alone": _sign(model.manifest, bytes(model.booster[:1].save_raw("json"))),
        "a split the wrong way round": edited(swap_children),
        "splits on other features": edited(swap_features),
        "other leaves and thresholds": edited(leaves),
        "another base score": edited(base_score),
    }


def _wrong_canaries(model: Model) -> dict[str, Package]:
    manifest, text = model.manifest, model.model_json
    columns: Mapping[str, list[Any]] = manifest.canary["columns"]
    scores: list[float] = manifest.canary["scores"]
    first = manifest.features[0]

    def of(canary: Mapping[str, Any]) -> Package:
        return _sign(replace(manifest, canary=canary), text)

    return {
        "a canary score off by the last bit": of({"columns": columns, "scores": [float(np.nextafter(scores[0], 1)), *scores[1:]]}),
        "canary scores in another order": of({"columns": columns, "scores": scores[::-1]}),
        "a canary score fewer": of({"columns": columns, "scores": scores[1:]}),
        "no canary rows": of({"columns": {name: [] for name in columns}, "scores": []}),
        "no canary": of({}),
        "a canary column missing": of({"columns": {k: v for k, v in columns.items() if k != first}, "scores": scores}),
        "a canary value out of range": of({"columns": {**columns, first: [10**6, *columns[first][1:]]}, "scores": scores}),
        "canary scores that are texts": of({"columns": columns, "scores": ["high"] * len(scores)}),
    }


def _wrong_forms(model: Model) -> dict[str, Package]:
    manifest, text = model.manifest, model.model_json

    def raw(data: bytes) -> Package:
        return Package(data, text, hashlib.sha256(data).hexdigest())

    spaced = json.dumps(asdict(manifest), indent=1).encode()
    return {
        "another format": _sign(replace(manifest, format=3), text),
        "a manifest written another way": raw(spaced),
        "a slope that is no number": raw(manifest.to_bytes().replace(b'"slope":0.9', b'"slope":NaN')),
        "a manifest that is a list": raw(b"[]"),
        "trees as UBJSON": _sign(manifest, bytes(model.booster.save_raw("ubj"))),
        "an empty booster": _sign(manifest, b"{}"),
        "a booster of no bytes": _sign(manifest, b""),
        "a booster that is deep": _sign(manifest, b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    }
