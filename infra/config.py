"""What differs between the environments, and nothing else. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from propensity.errors import SettingsInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long objects stay, in days.

    Attributes
    ----------
    list_days : int
        Customer lists and call sheets, counted on top of the campaign's label window: until then outcomes still refer to them.
    report_days : int
        Monitoring reports.
    replaced_days : int
        Versions that were replaced or deleted. Until then a deletion can be undone, and an expired customer list still exists.
    access_log_days : int
        Who asked the bucket for what.
    """

    list_days: int
    report_days: int
    replaced_days: int
    access_log_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One installation of the platform.

    Attributes
    ----------
    keep_data : bool
        Data outlive their stack. Where False, destroying the stack destroys them too.
    termination_protection : bool
        CloudFormation refuses to delete stacks that hold data.
    key_deletion_days : int
        How long a deleted encryption key, and with it all that it encrypts, can be brought back: 7 to 30.
    """

    name: str
    keep_data: bool
    termination_protection: bool
    key_deletion_days: int
    retention: Retention


ENVIRONMENTS: tuple[Environment, ...] = (
    Environment(
        name="dev",
        keep_data=False,
        termination_protection=False,
        key_deletion_days=7,
        retention=Retention(list_days=7, report_days=30, replaced_days=1, access_log_days=30),
    ),
    Environment(
        name="staging",
        keep_data=True,
        termination_protection=False,
        key_deletion_days=7,
        retention=Retention(list_days=30, report_days=90, replaced_days=7, access_log_days=90),
    ),
    Environment(
        name="prod",
        keep_data=True,
        termination_protection=True,
        key_deletion_days=30,
        retention=Retention(list_days=90, report_days=1095, replaced_days=30, access_log_days=365),
    ),
)


def environment_named(name: object) -> Environment:
    """The environment of that name. Raises SettingsInvalid, naming those that exist, also where none was named."""
    for environment in ENVIRONMENTS:
        if environment.name == name:
            return environment
    known = ", ".join(environment.name for environment in ENVIRONMENTS)
    what = "no environment was named" if name is None else f"there is no environment {name!r}"
    raise SettingsInvalid(f"{what}: add -c env=NAME, where NAME is one of {known}")
