"""Score one uploaded list on many machines: what Spark starts for a list that one machine would take too long for.

The driver does what ``flows.list_job`` does, and lets executors do the chunks: each reads its bytes of the upload, checks, scores, explains
and logs them, and keeps the answers in the object store. What the driver gets back are counts. Then it ranks the whole list and writes the
call sheet, the errors and, last of all, how the list ended. Started again, whatever is there is not done again.

Customers' columns never become columns of Spark, which takes a dot in a name for a way into a structure, and has fewer types than Arrow.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.list_job import Clock, patiently, score_uploaded
from propensity.adapters.platform import Platform, open_platform
from propensity.campaigns import campaign
from propensity.errors import PropensityError, SettingsInvalid, StoreError
from propensity.list_state import UPLOAD, Claim, Finished, ListId, parse_list_id
from propensity.lists.apart import SHARE_CHUNKS, Share, SharedSpool, can_be_shared, shares
from propensity.lists.chunks import ListFile
from propensity.lists.csv_file import CsvList
from propensity.lists.scorer import LogTo, Scorer
from propensity.model import Model, load_package
from propensity.settings import read_settings

if TYPE_CHECKING:
    import pyarrow as pa

PARTS = "parts"
# What the job is told, and tells its executors. The password itself comes from the secret.
PASSWORD_SECRET = "PROPENSITY_PASSWORD_SECRET_ARN"  # noqa: S105 - the name of a variable that holds the secret's address
TOLD = ("PROPENSITY_DATABASE_URL", "PROPENSITY_STORE_URL", "PROPENSITY_S3_ENDPOINT_URL", PASSWORD_SECRET)
SCHEMA = "chunks long, received long, failure string, store boolean"
# Certificates that the database's own is verified with.
_ROOTS = Path(__file__).resolve().parents[1] / "propensity" / "adapters" / "rds-roots.pem"

log = logging.getLogger("propensity.flows")


@dataclass(frozen=True)
class Work:
    """What an executor needs to know besides its share."""

    told: Mapping[str, str]
    campaign: str
    model_digest: str
    prefix: str
    content: str
    source: str
    body_sha256: str
    caller: str
    top_reasons: int


@dataclass(frozen=True)
class Done:
    """What became of a share.

    Attributes
    ----------
    failure : str or None
        What stopped it, in words without a customer's value; ``store`` says that trying again may help.
    """

    chunks: int
    received: int
    failure: str | None = None
    store: bool = False


def score_share(share: Share, work: Work) -> Done:
    """Score, keep and log the chunks of a share that are not there yet, on whatever machine this is."""
    try:
        at = stores(tuple(sorted(work.told.items())))
        model = _model(at, work.campaign, work.model_digest)
        log_to = LogTo(at.log, work.content, work.source, work.body_sha256, work.caller)
        spool = SharedSpool(at.store, work.prefix)
        watch = _Count()
        # One thread: Spark gives every processor a share of its own.
        # What a long-lived executor knows may be of yesterday.
        at.gate.newest()
        source = share.within(at.store)
        scorer = Scorer(source, model, model.campaign.policy, spool, log_to, work.top_reasons, watch, workers=1, gate=at.gate)
        scorer.score_chunks()
    except PropensityError as exc:
        return Done(0, 0, f"{exc.code}: {exc}", isinstance(exc, StoreError))
    return Done(share.end - share.first, watch.rows)


class _Count:
    rows = 0

    def __call__(self, step: str, done: int, total: int) -> None:
        del step, total
        self.rows = done


@cache
def stores(told: tuple[tuple[str, str], ...]) -> Platform:
    """The stores that these variables describe, one set per process. Raises SettingsInvalid, StoreError."""
    os.environ.update(told)
    # A list asks MLflow nothing, but its address must be one.
    os.environ.setdefault("PROPENSITY_MLFLOW_URL", "http://127.0.0.1:5000")
    if os.environ.get(PASSWORD_SECRET):
        from propensity.adapters.alert_topics import read_secret

        os.environ["PGPASSWORD"] = json.loads(read_secret(os.environ[PASSWORD_SECRET]))["password"]
    if _ROOTS.is_file():
        os.environ.setdefault("PGSSLROOTCERT", str(_ROOTS))
    return open_platform(read_settings())


@cache
def _model_of(at: int, name: str, digest: str) -> Model:
    return load_package(_PLATFORMS[at].store, campaign(name), digest)


_PLATFORMS: dict[int, Platform] = {}


def _model(at: Platform, name: str, digest: str) -> Model:
    _PLATFORMS[id(at)] = at
    return _model_of(id(at), name, digest)


Distribute = Callable[[Sequence[Share], Work], Sequence[Done]]


@dataclass(frozen=True)
class Executors:
    """`propensity.lists.run.Spread`: executors that keep their answers with the list."""

    spool: SharedSpool
    found: Sequence[Share]
    work: Callable[[Scorer], Work]
    distribute: Distribute

    def score(self, scorer: Scorer) -> None:
        """Have every share scored.

        What stopped one that no store is to blame for, a damaged file for one, the driver finds again by itself, and ends the list with it.

        Raises
        ------
        StoreError
            A store did not answer an executor; the same job goes on from here.
        """
        done = self.distribute(self.found, self.work(scorer))
        log.info(f"{sum(one.chunks for one in done)} chunks, {sum(one.received for one in done):,} customers by executors")
        for one in done:
            if one.failure is not None and one.store:
                raise StoreError(f"an executor: {one.failure}")


def spreading(at: Platform, told: Mapping[str, str], distribute: Distribute, *, chunks: int) -> Callable[..., Executors | None]:
    """What `score_uploaded` is told to spread a list with."""

    def spread(list_id: ListId, claim: Claim, source: ListFile, folder: Path) -> Executors | None:
        declared = campaign(list_id.campaign)
        if not can_be_shared(source, declared):
            log.warning(f"list {list_id} has no ids of its own, and derived ones depend on all rows before: the driver scores it alone")
            return None
        prefix = f"{list_id.key(PARTS)}"
        key, version = list_id.key(UPLOAD), claim.version
        if isinstance(source, CsvList) and source.copied is not None:
            key, version = f"{prefix}/upload.utf-8.csv", None
            at.store.put_file(key, source.copied)
        cache_folder = folder / PARTS
        cache_folder.mkdir()

        def work(scorer: Scorer) -> Work:
            to = scorer.log
            assert to is not None, "an uploaded list is logged"
            digest = scorer.model.digest
            return Work(told, list_id.campaign, digest, prefix, to.content, to.source, to.body_sha256, to.caller, scorer.top_reasons)

        found = shares(source, key, version, chunks=chunks)
        return Executors(SharedSpool(at.store, prefix, cache_folder), found, work, distribute)

    return spread


def by_spark(session: Any, found: Sequence[Share], work: Work) -> list[Done]:
    """Every share as one task of Spark, by a function from Arrow batches to Arrow batches."""

    def scored(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            done = [score_share(found[number], work) for number in batch.column(0).to_pylist()]
            columns = [pa.array([getattr(one, name) for one in done], kind) for name, kind in _columns(pa)]
            yield pa.RecordBatch.from_arrays(columns, [name for name, _ in _columns(pa)])

    rows = session.range(0, len(found), 1, len(found)).mapInArrow(scored, SCHEMA).collect()
    return [Done(row["chunks"], row["received"], row["failure"], row["store"]) for row in rows]


def _columns(arrow: Any) -> list[tuple[str, Any]]:
    return [("chunks", arrow.int64()), ("received", arrow.int64()), ("failure", arrow.string()), ("store", arrow.bool_())]


def run(list_id: ListId, session: Any, told: Mapping[str, str], *, now: Clock, chunks: int = SHARE_CHUNKS) -> Finished:
    """Score the list on the machines of a Spark session; how it ended. Raises as `flows.list_job.score_uploaded`."""
    at = stores(tuple(sorted(told.items())))
    spread = spreading(at, told, partial(by_spark, session), chunks=chunks)
    return patiently(lambda: score_uploaded(at, list_id, now=now, spread=spread))


def told_in(given: Sequence[str], variables: Mapping[str, str]) -> dict[str, str]:
    """The variables of `TOLD`: as ``NAME=VALUE``, else of the process. Raises SettingsInvalid for any other."""
    found = {name: variables[name] for name in TOLD if variables.get(name)}
    for text in given:
        name, mark, value = text.partition("=")
        if not mark or name not in TOLD:
            raise SettingsInvalid(f"--set takes NAME=VALUE, where NAME is one of {', '.join(TOLD)}")
        found[name] = value
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run one job; return the process exit code: 0 also for a list that ended as failed, since its status says so."""
    parser = argparse.ArgumentParser(prog="spark_list.py", description="Score one uploaded list on Spark.")
    parser.add_argument("list_id", metavar="LIST_ID", help="<campaign>.<32 hex digits>")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=f"one of {', '.join(TOLD)}")
    parser.add_argument("--share-chunks", type=int, default=SHARE_CHUNKS, help="chunks of one task")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        list_id, told = parse_list_id(args.list_id), told_in(args.set, os.environ)
        from pyspark.sql import SparkSession

        session = SparkSession.builder.appName(f"list {list_id}").getOrCreate()
        try:
            run(list_id, session, told, now=lambda: datetime.now(UTC), chunks=args.share_chunks)
        finally:
            session.stop()
    except PropensityError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code
    return 0


if __name__ == "__main__":
    # By its name, so that executors import what they run instead of being sent it.
    from flows.spark_list import main as by_name

    sys.exit(by_name())
