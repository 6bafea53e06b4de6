"""What AWS answers, and refuses, becomes a value or one sentence. botocore's own stub stands in for the service."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from propensity.adapters.aws_account import BOOTSTRAP_PARAMETER, AwsAccount
from propensity.errors import SettingsInvalid

SECRET = "a-secret-that-no-message-may-hold"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, profiles or proxies but the test's own, and no look at the machine's metadata service."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


class Stubbed:
    """A session whose clients answer what was laid ready for them."""

    def __init__(self) -> None:
        self._session = boto3.Session(aws_access_key_id="AKIA", aws_secret_access_key=SECRET, region_name="eu-central-1")
        self.clients: dict[str, Any] = {}

    def stub(self, service: str) -> Stubber:
        client = self._session.client(service)
        stubber = Stubber(client)
        stubber.activate()
        self.clients[service] = client
        return stubber

    def client(self, service: str, **_: Any) -> Any:
        return self.clients[service]


@pytest.fixture
def session() -> Stubbed:
    return Stubbed()


def account(session: Any) -> AwsAccount:
    return AwsAccount("eu-central-1", session)


def test_who_is_signed_in(session: Any) -> None:
    arn = "arn:aws:iam::111122223333:user/me"
    session.stub("sts").add_response("get_caller_identity", {"Account": "111122223333", "Arn": arn, "UserId": "AIDA"})
    found = account(session).identity()
    assert (found.account, found.arn) == ("111122223333", arn)


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("ExpiredToken", "expired"),
        ("ExpiredTokenException", "expired"),
        ("RequestExpired", "expired"),
        ("InvalidClientTokenId", "does not know these credentials"),
        ("SignatureDoesNotMatch", "does not know these credentials"),
        ("AccessDenied", "may not call GetCallerIdentity"),
        ("Throttling", "refused GetCallerIdentity (Throttling)"),
    ],
)
def test_a_refusal_is_one_sentence_without_secrets(code: str, word: str, session: Any) -> None:
    session.stub("sts").add_client_error("get_caller_identity", code, SECRET)
    with pytest.raises(SettingsInvalid) as caught:
        account(session).identity()
    assert word in str(caught.value)
    assert SECRET not in str(caught.value)


def test_nobody_signed_in() -> None:
    with pytest.raises(SettingsInvalid, match="nobody is signed in"):
        AwsAccount("eu-central-1").identity()


def test_an_expired_single_sign_on_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text(
        "[profile work]\nsso_session = office\nsso_account_id = 111122223333\nsso_role_name = deployer\nregion = eu-central-1\n"
        "[sso-session office]\nsso_region = eu-central-1\nsso_start_url = https://example.awsapps.com/start\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SettingsInvalid, match="session has expired"):
        AwsAccount("eu-central-1").identity()


def test_an_unknown_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    for asked in (AwsAccount("eu-central-1").identity, AwsAccount.configured_region):
        with pytest.raises(SettingsInvalid, match=r"nobody.*AWS_PROFILE"):
            asked()


def test_no_way_to_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{taken.getsockname()[1]}")
        session = boto3.Session(aws_access_key_id="AKIA", aws_secret_access_key=SECRET)
        with pytest.raises(SettingsInvalid, match="cannot be reached"):
            account(session).identity()


def test_the_configured_region(monkeypatch: pytest.MonkeyPatch) -> None:
    assert AwsAccount.configured_region() is None
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert AwsAccount.configured_region() == "eu-west-1"


def test_the_bootstrap_version(session: Any) -> None:
    stub = session.stub("ssm")
    stub.add_response("get_parameter", {"Parameter": {"Name": BOOTSTRAP_PARAMETER, "Value": "21"}}, {"Name": BOOTSTRAP_PARAMETER})
    stub.add_client_error("get_parameter", "ParameterNotFound")
    stub.add_client_error("get_parameter", "AccessDeniedException")
    assert account(session).bootstrap_version() == 21
    assert account(session).bootstrap_version() is None
    with pytest.raises(SettingsInvalid, match="may not call GetParameter"):
        account(session).bootstrap_version()


def test_outputs_of_a_stack(session: Any) -> None:
    stub = session.stub("cloudformation")
    made: dict[str, Any] = {"StackName": "s", "CreationTime": "2026-01-01T00:00:00Z", "StackStatus": "CREATE_COMPLETE"}
    stub.add_response("describe_stacks", {"Stacks": [{**made, "Outputs": [{"OutputKey": "A", "OutputValue": "b"}]}]}, {"StackName": "s"})
    stub.add_client_error("describe_stacks", "ValidationError", "Stack with id s does not exist")
    stub.add_client_error("describe_stacks", "ValidationError", "1 validation error detected")
    assert account(session).outputs("s") == {"A": "b"}
    assert account(session).outputs("s") == {}
    with pytest.raises(SettingsInvalid, match="ValidationError"):
        account(session).outputs("s")


def test_an_image_is_looked_up_by_tag_or_digest(session: Any) -> None:
    stub, digest = session.stub("ecr"), "sha256:" + "0" * 64
    uri = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/team/api"
    stub.add_response("describe_images", {"imageDetails": []}, {"repositoryName": "team/api", "imageIds": [{"imageTag": "abc"}]})
    stub.add_response("describe_images", {"imageDetails": []}, {"repositoryName": "team/api", "imageIds": [{"imageDigest": digest}]})
    stub.add_client_error("describe_images", "ImageNotFoundException")
    stub.add_client_error("describe_images", "RepositoryNotFoundException")
    assert account(session).has_image(uri, "abc")
    assert account(session).has_image("team/api", digest)
    assert not account(session).has_image(uri, "abc")
    assert not account(session).has_image(uri, "abc")
