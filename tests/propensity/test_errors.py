from __future__ import annotations

import pickle

import pytest

from propensity import errors
from propensity.errors import PropensityError, QualityGateFailed, RowIssue, RowsInvalid


def every(cls: type[PropensityError] = PropensityError) -> list[type[PropensityError]]:
    return [cls, *(found for child in cls.__subclasses__() for found in every(child))]


PUBLIC = [cls for cls in every() if not cls.__name__.startswith("_")]


@pytest.mark.parametrize("cls", PUBLIC)
def test_every_error_has_a_status_and_an_exit_code_that_mean_failure(cls: type[PropensityError]) -> None:
    assert 400 <= cls.status <= 599
    assert 1 <= cls.exit_code <= 125
    assert cls.__module__ == errors.__name__
    assert cls.__doc__


def test_codes_are_unique_so_that_a_machine_can_tell_errors_apart() -> None:
    codes = [cls.code for cls in PUBLIC]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("cls", PUBLIC)
def test_the_tree_in_the_docstring_names_every_class_or_its_parent(cls: type[PropensityError]) -> None:
    drawn = (errors.__doc__ or "").replace("Idempotency*", "IdempotencyInFlight IdempotencyMismatch")
    assert cls.__name__ in drawn or issubclass(cls, errors.StoreError)


def test_only_store_errors_share_the_exit_code_that_says_try_again() -> None:
    again = {cls for cls in PUBLIC if cls.exit_code == errors.StoreError.exit_code}
    assert again == {cls for cls in PUBLIC if issubclass(cls, errors.StoreError)}


@pytest.mark.parametrize("cls", [RowsInvalid, QualityGateFailed])
def test_errors_with_rows_survive_a_process_border(cls: type[RowsInvalid]) -> None:
    error = cls("nothing can be used", [RowIssue(3, "age", "missing", "is missing")])
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert again.issues == error.issues
    assert str(again) == str(error)


@pytest.mark.parametrize(("column", "expected"), [("age", "row 7, age: is missing"), (None, "row 7: is missing")])
def test_an_issue_reads_as_a_sentence(column: str | None, expected: str) -> None:
    assert str(RowIssue(7, column, "missing", "is missing")) == expected
