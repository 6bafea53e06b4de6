from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest

from local.postgres_urls import DatabaseUrls
from propensity.adapters.sources import read_source
from propensity.adapters.sql_source import parse_spec
from propensity.campaign import Campaign, Categorical, Economics, Label, MonthsInOrder, Numeric
from propensity.errors import DatabaseUnavailable, DataError, Malformed, SourceMissing
from propensity.ingest import read_labelled

CAMPAIGN = Campaign(
    name="tiny",
    title="Tiny",
    question="?",
    label=Label("y", "TRUE", "FALSE"),
    features=(Numeric("emp.rate", low=0, high=120, nullable=True), Categorical("job", ("a", "b")), Categorical("code", (1, 2))),
    economics=Economics(contact_cost=Decimal(1), conversion_value=Decimal(9), currency="EUR"),
)


@pytest.fixture(scope="module")
def url(database: DatabaseUrls) -> str:
    with psycopg.connect(database.owner_url) as connection:
        connection.execute('CREATE SCHEMA "odd schema"')
        connection.execute(
            'CREATE TABLE "odd schema"."Customers; DROP" (at int, "emp.rate" numeric, job text, code smallint, y boolean, id bigint)'
        )
        connection.execute(
            """INSERT INTO "odd schema"."Customers; DROP" VALUES
               (3, NULL, 'b', 2, false, 30), (1, 0.1, 'a', 1, true, 10), (2, 'NaN', 'a', 2, false, 20)"""
        )
        connection.execute('CREATE TABLE texts ("emp.rate" text, job text, code text, y text)')
        connection.execute("INSERT INTO texts VALUES ('1.5', 'a', '1', 'TRUE'), (NULL, 'b', '2', 'FALSE')")
        connection.execute("CREATE TABLE empty_one (LIKE texts)")
        connection.execute("CREATE TABLE secret_one (LIKE texts)")
        connection.execute(
            "CREATE TABLE many AS SELECT n AS \"emp.rate\", 'a' AS job, 1 AS code, true AS y FROM generate_series(1, 50000) n"
        )
        connection.execute("REVOKE ALL ON secret_one FROM PUBLIC")
    return database.owner_url


def test_a_table_is_read_in_the_order_asked_for(url: str) -> None:
    raw = read_source(f"{url}?table=odd%20schema.Customers; DROP&order_by=at", CAMPAIGN)
    assert raw.columns == {
        "at": [1, 2, 3],
        "emp.rate": [0.1, None, None],
        "job": ["a", "a", "b"],
        "code": [1, 2, 2],
        "y": [True, False, False],
        "id": [10, 20, 30],
    }
    rows = read_labelled(CAMPAIGN, raw)
    assert (rows.issues, rows.ignored, rows.table.ids) == ((), ("at",), ("10", "20", "30"))
    assert rows.label.tolist() == [True, False, False]


def test_the_provenance_names_the_table_and_no_password(url: str) -> None:
    raw = read_source(f"{url}?table=texts", CAMPAIGN)
    password = psycopg.conninfo.conninfo_to_dict(url)["password"]
    assert raw.provenance["kind"] == "sql"
    assert str(raw.provenance["name"]).endswith("/texts")
    assert str(password) not in str(raw.provenance)


def test_a_table_of_texts_is_parsed_as_text(url: str) -> None:
    raw = read_source(f"{url}?table=public.texts", CAMPAIGN)
    assert raw.text
    assert read_labelled(CAMPAIGN, raw).table.values("emp.rate") == [1.5, None]


def test_a_query_is_read(url: str) -> None:
    raw = read_source(f"{url}?query=SELECT * FROM texts WHERE code = '2' AND job LIKE '%25b'", CAMPAIGN)
    assert raw.columns["job"] == ["b"]


def test_more_rows_than_one_fetch_holds(url: str) -> None:
    raw = read_source(f"{url}?table=many&order_by=emp.rate", CAMPAIGN)
    assert raw.n == 50_000
    assert raw.columns["emp.rate"] == list(range(1, 50_001))


def test_names_are_quoted(url: str) -> None:
    with pytest.raises(SourceMissing):
        read_source(f'{url}?table=texts"; DROP TABLE texts; --', CAMPAIGN)
    with pytest.raises(DataError):
        read_source(f"{url}?table=texts&order_by=1; DROP TABLE texts", CAMPAIGN)
    assert read_source(f"{url}?table=texts", CAMPAIGN).n == 2


@pytest.mark.parametrize("query", ["DELETE FROM texts", "SELECT setval('s', 1)", "INSERT INTO texts VALUES ('1') RETURNING *", "not sql"])
def test_a_query_that_writes_or_is_none_is_refused(url: str, query: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SEQUENCE IF NOT EXISTS s")
    with pytest.raises(DataError):
        read_source(f"{url}?query={query}", CAMPAIGN)
    assert read_source(f"{url}?table=texts", CAMPAIGN).n == 2


def test_what_is_not_there_is_named(url: str) -> None:
    for table in ("nothing", "nowhere.texts"):
        with pytest.raises(SourceMissing, match=table):
            read_source(f"{url}?table={table}", CAMPAIGN)
    with pytest.raises(DataError, match="order_by"):
        read_source(f"{url}?table=texts&order_by=nothing", CAMPAIGN)
    with pytest.raises(DataError, match="no rows"):
        read_source(f"{url}?table=empty_one", CAMPAIGN)


def test_a_table_that_may_not_be_read_is_refused(url: str, database: DatabaseUrls) -> None:
    with pytest.raises(DataError, match="SELECT"):
        read_source(f"{database.app_url}?table=secret_one", CAMPAIGN)


def test_a_repeated_column_name_is_refused(url: str) -> None:
    with pytest.raises(Malformed, match="job"):
        read_source(f"{url}?query=SELECT job, job FROM texts", CAMPAIGN)


def test_a_dead_or_refusing_server_is_a_store_error_without_a_password(url: str) -> None:
    wrong_password = url.replace(str(psycopg.conninfo.conninfo_to_dict(url)["password"]), "hunter2")
    for address in ("postgresql://u:hunter2@127.0.0.1:1/db", wrong_password):
        with pytest.raises(DatabaseUnavailable) as caught:
            read_source(f"{address}?table=texts", CAMPAIGN)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?table=a&query=SELECT 1",
        "?query=SELECT 1&order_by=a",
        "?table=a.b.c",
        "?table=",
        "?table=a.",
        "?table=a&order_by=",
        "?table=a%00b",
    ],
)
def test_a_spec_that_names_no_rows_is_refused(query: str) -> None:
    with pytest.raises(DataError):
        parse_spec(f"postgresql://h/db{query}", CAMPAIGN)


def test_a_campaign_that_reads_the_year_from_the_order_needs_one() -> None:
    ordered = replace(CAMPAIGN, calendar=MonthsInOrder("month", first_month="2020-01"))
    with pytest.raises(DataError, match="order_by"):
        parse_spec("postgresql://h/db?table=a", ordered)
    parse_spec("postgresql://h/db?table=a&order_by=at", ordered)
    parse_spec("postgresql://h/db?query=SELECT * FROM a ORDER BY at", ordered)


def test_other_parameters_of_the_address_are_passed_on() -> None:
    spec = parse_spec("postgresql://h/db?table=a&sslmode=require&application_name=a%20b", CAMPAIGN)
    assert psycopg.conninfo.conninfo_to_dict(spec.dsn) == {"host": "h", "dbname": "db", "sslmode": "require", "application_name": "a b"}
