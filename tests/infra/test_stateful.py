"""What holds data: never made anew by a refactoring, never deleted by mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from infra.config import environment_named

Synthesise = Callable[..., Any]
# Another logical id makes CloudFormation create an empty one beside the one with the data. LakeBucket and its like: test_data_lake.py.
PINNED = {
    "AWS::RDS::DBInstance": {"Database/DatabaseInstanceAA8A5FDE"},
    "AWS::KMS::Key": {"DataLake/LakeKey7B6C155C", "Database/DatabaseKey5E5D9547", "Topics/TopicsKey64CE8550"},
    "AWS::SecretsManager::Secret": {
        "Database/DatabasePasswordpropensityowner51B78A3F",
        "Database/DatabasePasswordpropensityappB7888A83",
        "Database/DatabasePasswordpropensityreaderB91538C8",
        "Database/DatabasePasswordmlflowECD67259",
        "Database/DatabasePasswordprefect01E8F030",
        "Database/DatabasePasswordgrafana689C8B55",
        "Database/DatabasePrefectAuth3CF444F2",
        "Database/DatabaseGrafanaAdmin06071729",
        "Database/DatabaseSessionA217FD92",
    },
    "AWS::ECR::Repository": {
        "Registry/RegistryApi566C2B55",
        "Registry/RegistryFlowsB48B7B70",
        "Registry/RegistryMlflow07C1356F",
        "Registry/RegistryGrafanaC97D810D",
    },
}
STATEFUL = ("DataLake", "Database", "Registry")


def test_logical_ids_are_pinned(synthesise: Synthesise, name: str) -> None:
    for kind, pinned in PINNED.items():
        assert set(synthesise(name).of_type(kind)) == pinned


def test_only_stateful_stacks_hold_data_and_they_are_protected(synthesise: Synthesise, name: str) -> None:
    platform = synthesise(name)
    for stack, found in platform.stacks.items():
        holds = {r["Type"] for r in found.resources.values()} & {
            "AWS::RDS::DBInstance",
            "AWS::SecretsManager::Secret",
            "AWS::ECR::Repository",
        }
        assert not holds or stack in STATEFUL, stack
        if stack in STATEFUL:
            assert bool(found.protected) is environment_named(name).termination_protection, stack


def test_the_database_survives_its_stack_where_data_are_kept(synthesise: Synthesise, name: str) -> None:
    (server,) = synthesise(name).of_type("AWS::RDS::DBInstance").values()
    keep = environment_named(name).keep_data
    assert server["DeletionPolicy"] == ("Snapshot" if keep else "Delete")
    assert server["UpdateReplacePolicy"] == ("Snapshot" if keep else "Delete")
    assert server["Properties"]["DeletionProtection"] is keep
    assert server["Properties"].get("DeleteAutomatedBackups") is not keep


def test_the_database_is_as_declared(synthesise: Synthesise, name: str) -> None:
    environment = environment_named(name)
    (server,) = synthesise(name).properties("AWS::RDS::DBInstance").values()
    assert server["BackupRetentionPeriod"] == environment.retention.backup_days >= 1
    assert server["MultiAZ"] is environment.database.multi_az
    assert server["DBInstanceClass"] == f"db.{environment.database.instance}"
    # The major version alone: minor ones are withdrawn, and AWS keeps them up to date.
    assert server["EngineVersion"] == environment.postgres == "18"
    assert server["AutoMinorVersionUpgrade"] is True
    assert server["EnableCloudwatchLogsExports"] == ["postgresql"]


def test_production_survives_a_zone(synthesise: Synthesise) -> None:
    prod = synthesise("prod")
    (server,) = prod.properties("AWS::RDS::DBInstance").values()
    assert server["MultiAZ"] is True
    assert len(prod.of_type("AWS::EC2::NatGateway")) == 2


def test_passwords_and_keys_survive_their_stack_where_data_are_kept(synthesise: Synthesise, name: str) -> None:
    kept = "Retain" if environment_named(name).keep_data else "Delete"
    platform = synthesise(name)
    for one in (*platform.of_type("AWS::SecretsManager::Secret").values(), *platform.of_type("AWS::ECR::Repository").values()):
        assert one["DeletionPolicy"] == kept
    assert platform["Database"].named("DatabaseKey", "AWS::KMS::Key")["DeletionPolicy"] == kept
