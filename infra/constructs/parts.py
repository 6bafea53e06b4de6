"""What programs are put together from: made by earlier stacks, handed to later ones as one."""

from __future__ import annotations

from dataclasses import dataclass

from infra.config import Environment
from infra.constructs.data_lake import DataLake
from infra.constructs.database import Database
from infra.constructs.firewall import Firewall
from infra.constructs.network import PlatformNetwork
from infra.constructs.registry import Images
from infra.constructs.service import Place
from infra.constructs.topics import Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything that lasts."""

    environment: Environment
    network: PlatformNetwork
    firewall: Firewall
    lake: DataLake
    database: Database
    images: Images
    topics: Topics
    place: Place
