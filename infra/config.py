"""What differs between the environments, and nothing else. Standard library only. Profiles change an environment: infra/profiles.py."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from propensity.errors import SettingsInvalid

_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+", re.ASCII)
_SECRET = re.compile(r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6}", re.ASCII)
_MAILBOX = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)
_SERVER = re.compile(r"[A-Za-z0-9.-]+:[1-9]\d{0,4}", re.ASCII)
_CERTIFICATE = re.compile(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[A-Za-z0-9-]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long things stay, in days.

    Attributes
    ----------
    list_days : int
        Customer lists and call sheets, counted on top of the campaign's label window: until then outcomes still refer to them.
    report_days : int
        Monitoring reports.
    replaced_days : int
        Versions that were replaced or deleted. Until then a deletion can be undone, and an expired customer list still exists.
    access_log_days : int
        Who asked the bucket, the balancer or the API for what, and which connections the network saw.
    log_days : int
        What programs say. One of the values that CloudWatch Logs knows.
    backup_days : int
        Backups of the database: any moment within them can be brought back.
    image_count : int
        Images of each repository. What runs must be among them, and what one would go back to.
    """

    list_days: int
    report_days: int
    replaced_days: int
    access_log_days: int
    log_days: int
    backup_days: int
    image_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Addresses and the way out.

    Attributes
    ----------
    region : str
        Where all of it lies.
    zones : tuple of str
        Letters of the availability zones; RDS and the balancer want two at least.
    cidr : str
        Addresses of the network; of no other that it will ever be connected with.
    nat : str
        ``gateway``, managed, or ``instance``, a small machine of one's own that costs a fifth and has no spare.
    nat_count : int
        One is shared by all zones; one a zone survives the loss of a zone.
    operator_cidrs : tuple of str
        Addresses (VPN, office) from which people reach MLflow, Prefect and Grafana. Empty: nobody does, but by a tunnel.
    """

    region: str = "eu-central-1"
    zones: tuple[str, ...] = ("a", "b")
    cidr: str
    nat: Literal["gateway", "instance"]
    nat_count: int = 1
    operator_cidrs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What services are called within the network.

    Attributes
    ----------
    domain : str
        A private zone; with a certificate, the domain that it is for.
    certificate_arn : str or None
        In ACM, for ``*.<domain>``. With it every service is reached by TLS alone; without it by plain HTTP within the network, since no
        public authority signs a name like ``propensity.internal``.
    """

    domain: str = "propensity.internal"
    certificate_arn: str | None = None

    @property
    def port(self) -> int:
        return 80 if self.certificate_arn is None else 443

    def host(self, service: str) -> str:
        return f"{service}.{self.domain}"

    def url(self, service: str) -> str:
        """The address of a service, without a path."""
        return f"{'http' if self.certificate_arn is None else 'https'}://{self.host(service)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSize:
    """Postgres.

    Attributes
    ----------
    kind : str
        ``instance``, or ``serverless``: Aurora, which pauses where nobody is connected.
    instance : str
        Instance class, as in ``t4g.micro``. ``serverless`` has none.
    storage_gib, most_storage_gib : int
        What there is at first, and up to where it grows by itself.
    multi_az : bool
        A second one in another zone takes over within a minute or two.
    most_capacity : float
        Aurora capacity units at most.
    """

    kind: Literal["instance", "serverless"] = "instance"
    instance: str
    storage_gib: int
    most_storage_gib: int
    multi_az: bool
    most_capacity: float = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSize:
    """A Fargate task. ``cpu`` in 1/1024 of a processor, one of the pairs that Fargate sells."""

    cpu: int
    memory_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSize:
    """How large a task is and how many there are; more than ``least`` where ``most`` allows it and the load asks for it."""

    task: TaskSize
    least: int = 1
    most: int = 1
    spot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What runs all the time, and the size of what runs when asked (``flow``, ``scored_list``)."""

    scoring: ServiceSize
    mlflow: ServiceSize
    prefect: ServiceSize
    worker: ServiceSize
    grafana: ServiceSize
    flow: TaskSize
    scored_list: TaskSize
    spot_jobs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever holds an API key of the REST API: requests a second, as many at once, and a day."""

    name: str
    rate_per_s: float
    burst: int
    per_day: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Which parts there are at any time. See infra/profiles.py.

    Attributes
    ----------
    servers : bool
        Of MLflow, Prefect and Grafana.
    dashboard : bool
        A page of CloudWatch. Alarms are told by mail with or without it.
    look_hours : int
        How far apart the flows are looked at for what is late or failed. Each look wakes a database that pauses.
    """

    name: str
    scoring: Literal["fargate", "lambda"] = "fargate"
    servers: bool = True
    dashboard: bool = True
    look_hours: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Whom Grafana tells of its alert rules (docs/grafana.md). Nobody where nothing is set: Grafana then shows alerts and its log says so.

    Attributes
    ----------
    webhook_secret_arn : str or None
        A secret whose whole text is the https address of whoever is on call: such addresses hold a token, so that none stands here.
    email : str or None
        Addresses of the team, separated by semicolons; with it ``smtp_host``, ``smtp_from`` and ``smtp_secret_arn``.
    smtp_host : str or None
        ``host:port`` of a mail server that speaks STARTTLS, as SES does on port 587.
    smtp_from : str or None
        What letters say they come from.
    smtp_secret_arn : str or None
        A secret with the keys ``username`` and ``password``.
    """

    webhook_secret_arn: str | None = None
    email: str | None = None
    smtp_host: str | None = None
    smtp_from: str | None = None
    smtp_secret_arn: str | None = None

    def __post_init__(self) -> None:
        """Raises SettingsInvalid for half of it, and for what is no address of a secret, a mailbox or a server."""
        mail = (self.email, self.smtp_host, self.smtp_from, self.smtp_secret_arn)
        if any(mail) and not all(mail):
            raise SettingsInvalid("letters of Grafana take email, smtp_host, smtp_from and smtp_secret_arn together, or none of them")
        for name in ("webhook_secret_arn", "smtp_secret_arn"):
            if getattr(self, name) is not None and not _SECRET.fullmatch(getattr(self, name)):
                raise SettingsInvalid(f"{name} is not the whole ARN of a secret in Secrets Manager, its six last characters included")
        if self.email is not None and not all(_MAILBOX.fullmatch(one.strip()) for one in self.email.split(";")):
            raise SettingsInvalid("email is no mailboxes separated by semicolons, as in team@example.com;lead@example.com")
        if self.smtp_from is not None and not _MAILBOX.fullmatch(self.smtp_from):
            raise SettingsInvalid("smtp_from is no mailbox, as in grafana@example.com")
        if self.smtp_host is not None and not _SERVER.fullmatch(self.smtp_host):
            raise SettingsInvalid("smtp_host is not host:port, as in email-smtp.eu-central-1.amazonaws.com:587")

    @property
    def smtp_port(self) -> int | None:
        return None if self.smtp_host is None else int(self.smtp_host.rpartition(":")[2])


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
    budget_usd : int
        A month. At 80 % of it, and when the forecast passes it, people are told.
    upload_limit_gib : int
        Size of one list at most.
    spark_from_gib : int
        Lists of this size and above are scored by Spark, on many machines. One has no larger disk than 200 GiB, and takes about a minute
        for each GiB.
    postgres : str
        The major version; AWS keeps the minor one up to date.
    firewall : bool
        A web application firewall before the REST API, which asks for keys and limits rates without one, too.
    insights : bool
        Metrics of every task (Container Insights), which cost about as much as the database of a small environment. Processor and
        memory of each service are there without them.
    told : Told
        Whom Grafana tells of its alert rules.
    """

    name: str
    keep_data: bool
    termination_protection: bool
    key_deletion_days: int
    retention: Retention
    network: Network
    database: DatabaseSize
    services: Services
    callers: tuple[Caller, ...]
    budget_usd: int
    upload_limit_gib: int = 5
    spark_from_gib: int = 4
    postgres: str = "18"
    insights: bool = True
    firewall: bool = True
    architecture: Literal["arm64", "x86_64"] = "arm64"
    profile: Profile = Profile(name="always-on")
    names: Names = Names()
    told: Told = Told()


def _services(*, scoring: ServiceSize, least: int, flow: TaskSize, spot: bool) -> Services:
    small = TaskSize(cpu=256, memory_mib=512)
    return Services(
        scoring=scoring,
        mlflow=ServiceSize(task=TaskSize(cpu=512, memory_mib=2048), least=least, most=least, spot=spot),
        # One scheduler of Prefect at a time; EventBridge is the clock, so a pause of some seconds loses nothing.
        prefect=ServiceSize(task=TaskSize(cpu=512, memory_mib=1024), spot=spot),
        worker=ServiceSize(task=small, spot=spot),
        grafana=ServiceSize(task=small, least=least, most=least, spot=spot),
        flow=flow,
        scored_list=TaskSize(cpu=1024, memory_mib=2048),
        spot_jobs=spot,
    )


ENVIRONMENTS: tuple[Environment, ...] = (
    Environment(
        name="dev",
        keep_data=False,
        termination_protection=False,
        key_deletion_days=7,
        retention=Retention(list_days=7, report_days=30, replaced_days=1, access_log_days=30, log_days=14, backup_days=1, image_count=10),
        network=Network(cidr="10.20.0.0/16", nat="instance"),
        database=DatabaseSize(instance="t4g.micro", storage_gib=20, most_storage_gib=50, multi_az=False),
        services=_services(
            scoring=ServiceSize(task=TaskSize(cpu=512, memory_mib=1024), least=1, most=2),
            least=1,
            flow=TaskSize(cpu=1024, memory_mib=4096),
            spot=True,
        ),
        callers=(Caller(name="marketing", rate_per_s=20, burst=40, per_day=20_000),),
        insights=False,
        budget_usd=150,
    ),
    Environment(
        name="staging",
        keep_data=True,
        termination_protection=False,
        key_deletion_days=7,
        retention=Retention(list_days=30, report_days=90, replaced_days=7, access_log_days=90, log_days=30, backup_days=7, image_count=20),
        network=Network(cidr="10.30.0.0/16", nat="gateway"),
        database=DatabaseSize(instance="t4g.small", storage_gib=50, most_storage_gib=200, multi_az=False),
        services=_services(
            scoring=ServiceSize(task=TaskSize(cpu=1024, memory_mib=2048), least=2, most=4),
            least=1,
            flow=TaskSize(cpu=2048, memory_mib=8192),
            spot=True,
        ),
        callers=(Caller(name="marketing", rate_per_s=50, burst=100, per_day=100_000),),
        budget_usd=350,
    ),
    Environment(
        name="prod",
        keep_data=True,
        termination_protection=True,
        key_deletion_days=30,
        retention=Retention(
            list_days=90, report_days=1095, replaced_days=30, access_log_days=365, log_days=365, backup_days=30, image_count=50
        ),
        network=Network(cidr="10.40.0.0/16", nat="gateway", nat_count=2),
        database=DatabaseSize(instance="m7g.large", storage_gib=200, most_storage_gib=2000, multi_az=True),
        services=_services(
            scoring=ServiceSize(task=TaskSize(cpu=2048, memory_mib=4096), least=2, most=8),
            least=1,
            flow=TaskSize(cpu=4096, memory_mib=16384),
            spot=False,
        ),
        callers=(Caller(name="marketing", rate_per_s=100, burst=200, per_day=500_000),),
        budget_usd=900,
        upload_limit_gib=100,
        spark_from_gib=20,
    ),
)


def names_of(domain: object, certificate_arn: object) -> Names:
    """Names under a domain and its certificate, or the private ones where neither was named. Raises SettingsInvalid."""
    if not domain and not certificate_arn:
        return Names()
    if not domain or not certificate_arn:
        raise SettingsInvalid("a domain and its certificate come together: -c domain=DOMAIN -c certificate=ARN, or neither")
    if not _DOMAIN.fullmatch(str(domain)):
        raise SettingsInvalid(f"{domain!r} is no domain, as in propensity.example.com")
    if not _CERTIFICATE.fullmatch(str(certificate_arn)):
        raise SettingsInvalid(f"{certificate_arn!r} is not the ARN of a certificate in ACM")
    return Names(domain=str(domain), certificate_arn=str(certificate_arn))


def environment_named(name: object) -> Environment:
    """The environment of that name. Raises SettingsInvalid, naming those that exist, also where none was named."""
    for environment in ENVIRONMENTS:
        if environment.name == name:
            return environment
    known = ", ".join(environment.name for environment in ENVIRONMENTS)
    what = "no environment was named" if name is None else f"there is no environment {name!r}"
    raise SettingsInvalid(f"{what}: add -c env=NAME, where NAME is one of {known}")
