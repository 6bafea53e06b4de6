"""The AWS account that a deployment would go to: who asks, and what is there already. Reads alone; nothing is created."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore import exceptions as aws
from botocore.config import Config

from propensity.errors import SettingsInvalid

# As `cdk bootstrap` leaves it behind, under the qualifier that it takes when it is given none.
BOOTSTRAP_PARAMETER = "/cdk-bootstrap/hnb659fds/version"
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_WRONG = {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure", "InvalidSignatureException"}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_SIGN_IN = "sign in (aws sso login, or new keys in the environment) and set AWS_PROFILE to the profile"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is signed in, and to which account."""

    account: str
    arn: str


class AwsAccount:
    """What the credentials of this process lead to.

    Parameters
    ----------
    region : str
        Where to look.
    session : boto3.Session, optional
        Other credentials than those of the environment.

    Raises
    ------
    SettingsInvalid
        From every method: nobody is signed in, the session has expired, AWS refuses or cannot be reached.
    """

    def __init__(self, region: str, session: boto3.Session | None = None) -> None:
        self._region = region
        self._config = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2, "mode": "standard"})
        self._session = session

    @staticmethod
    def configured_region() -> str | None:
        """The region that AWS's own programs would take: from the environment, else from the profile. Raises SettingsInvalid."""
        with _told():
            region: str | None = boto3.Session().region_name
        return region

    def identity(self) -> Identity:
        """Who is signed in."""
        with _told():
            reply = self._client("sts").get_caller_identity()
        return Identity(account=reply["Account"], arn=reply["Arn"])

    def bootstrap_version(self) -> int | None:
        """Version of CDK's own stack in the region; None where it is not there."""
        with _told():
            try:
                reply = self._client("ssm").get_parameter(Name=BOOTSTRAP_PARAMETER)
            except aws.ClientError as exc:
                if exc.response["Error"]["Code"] == "ParameterNotFound":
                    return None
                raise
        return int(reply["Parameter"]["Value"])

    def outputs(self, stack: str) -> dict[str, str]:
        """Outputs of a stack; empty where there is no such stack."""
        with _told():
            try:
                reply = self._client("cloudformation").describe_stacks(StackName=stack)
            except aws.ClientError as exc:
                if exc.response["Error"]["Code"] == "ValidationError" and "does not exist" in exc.response["Error"].get("Message", ""):
                    return {}
                raise
        return {output["OutputKey"]: output["OutputValue"] for output in reply["Stacks"][0].get("Outputs", [])}

    def has_image(self, repository: str, version: str) -> bool:
        """Whether a repository (by its address or name) holds a tag, or a digest as ``sha256:...``."""
        name = repository.partition("/")[2] if ".dkr." in repository else repository
        wanted = {"imageDigest": version} if version.startswith("sha256:") else {"imageTag": version}
        with _told():
            try:
                self._client("ecr").describe_images(repositoryName=name, imageIds=[wanted])
            except aws.ClientError as exc:
                if exc.response["Error"]["Code"] in ("ImageNotFoundException", "RepositoryNotFoundException"):
                    return False
                raise
        return True

    def _client(self, service: str) -> Any:
        self._session = self._session or boto3.Session()
        return self._session.client(service, region_name=self._region, config=self._config)


@contextmanager
def _told() -> Iterator[None]:
    """botocore's errors as one sentence that says what to do; never a key."""
    try:
        yield
    except (aws.NoCredentialsError, aws.PartialCredentialsError) as exc:
        raise SettingsInvalid(f"nobody is signed in to AWS, so that no account is known: {_SIGN_IN}") from exc
    except (aws.UnauthorizedSSOTokenError, aws.SSOTokenLoadError, aws.TokenRetrievalError, aws.CredentialRetrievalError) as exc:
        raise SettingsInvalid(f"the AWS session has expired: {_SIGN_IN}") from exc
    except (aws.ProfileNotFound, aws.ConfigNotFound, aws.ConfigParseError, aws.InvalidConfigError) as exc:
        raise SettingsInvalid(
            f"the AWS configuration cannot be used ({exc}): set AWS_PROFILE to one of aws configure list-profiles"
        ) from exc
    except (aws.EndpointConnectionError, aws.ConnectTimeoutError, aws.ReadTimeoutError, aws.ConnectionClosedError, aws.SSLError) as exc:
        raise SettingsInvalid("AWS cannot be reached: check the network, the proxy (HTTPS_PROXY) and the region") from exc
    except aws.ClientError as exc:
        raise SettingsInvalid(_refusal(exc)) from exc


def _refusal(exc: aws.ClientError) -> str:
    code = exc.response["Error"]["Code"]
    if code in _EXPIRED:
        return f"the AWS session has expired: {_SIGN_IN}"
    if code in _WRONG:
        return f"AWS does not know these credentials ({code}): {_SIGN_IN}"
    if code in _DENIED:
        return f"whoever is signed in may not call {exc.operation_name}: use a role that may deploy"
    return f"AWS refused {exc.operation_name} ({code}): see what it says in the AWS console before you deploy"
