"""R14: everything that was answered can be computed again from the log, to the bit."""

from __future__ import annotations

import numpy as np

from faults.crashes import bodies_of
from faults.load import Load, answers_digest
from faults.promise import Result, Scale
from faults.world import World
from propensity.decision import parse_policy
from propensity.model import Model, load_package
from propensity.ports import LoggedRequest
from propensity.schema import Checked
from propensity.scoring import score_list, table_from_raw


def again(model: Model, entry: LoggedRequest) -> tuple[bool, str]:
    """Score a logged request again: whether the scores are the same bits, and the digest of the whole answer."""
    campaign = model.campaign
    table = table_from_raw(campaign, entry.features, entry.customer_ids, entry.rows)
    scored = score_list(model, Checked(table, (), entry.refused), parse_policy(dict(entry.policy), campaign.policy), top_reasons=0)
    decision = scored.decision
    answers = [
        [row, customer, score, "contact" if contact else "leave", band, rank, profit]
        for row, customer, score, contact, band, rank, profit in zip(
            table.rows.tolist(),
            table.ids,
            scored.scores.tolist(),
            decision.contact.tolist(),
            scored.bands,
            decision.rank.tolist(),
            decision.expected_profit.tolist(),
            strict=True,
        )
    ]
    return np.array_equal(scored.scores.view(np.int64), entry.scores.view(np.int64)), answers_digest(answers)


def r14(world: World, scale: Scale) -> Result:
    """Thousands of requests over two models; each is computed again from its row of the log and its package in the store."""
    callers, half = 8, scale.of(full=625, short=20)
    bodies = [body for five in zip(*(bodies_of(world, rows, 50) for rows in (1, 2, 3, 5, 40)), strict=True) for body in five]
    with world.service() as service:
        answers = []
        for model in (world.model, world.rival):
            if model is world.rival:
                service.promote(model)
                service.wait_live(model.digest)
            with Load(service, bodies, callers=callers, requests=half) as load:
                answers += load.finish()
        world.say(f"  {len(answers):,} requests asked; scoring them again")
        logged = service.logged()
        models = {digest: load_package(service.store, world.campaign, digest) for digest in {a.model for a in answers if a.status == 200}}
    acknowledged = [answer for answer in answers if answer.status == 200]
    same = 0
    for answer in acknowledged:
        entry = logged.get(answer.request_id)
        if entry is not None and entry.model_digest == answer.model:
            bits, digest = again(models[entry.model_digest], entry)
            same += bits and digest == answer.answers
    return Result(
        same == len(acknowledged) == 2 * callers * half and len(models) == 2,
        f"{same:,} of {2 * callers * half:,} replies bit-equal "
        f"({sum(a.scored for a in acknowledged):,} predictions of {len(models)} models)",
        "score, decision, band, rank and expected profit of every prediction computed again from the logged features, the logged policy "
        "and the package that the log names",
    )
