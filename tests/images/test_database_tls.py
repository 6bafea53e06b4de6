"""Programs know their database by its certificate: another server that answers in its place is told nothing."""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from infra.config import ENVIRONMENTS

PROJECT = Path(__file__).resolve().parents[2]
ROOTS = PROJECT / "propensity" / "adapters" / "rds-roots.pem"
IN_IMAGE = "/opt/tls/rds-roots.pem"
# What was looked through; whoever changes the file looks through it again (images/roots.sh compares it with AWS' own).
SHA256 = "573c08a9d7d8052180eb85aa4d8bd59a8f8801183a1b0245f9f0da7d604f8cdf"


def certificate(folder: Path, name: str, host: str) -> tuple[Path, Path]:
    """A certificate that signs itself, good for one host, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return folder / f"{name}.pem", folder / f"{name}.key"


@dataclass
class Server:
    """Speaks TLS as Postgres does, keeps what it is told first, and hangs up."""

    certificate: Path
    key: Path
    told: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with suppress(OSError), connection:
                    connection.recv(8)
                    connection.sendall(b"S")
                    with context.wrap_socket(connection, server_side=True) as inside:
                        self.told.append(inside.recv(1024))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(*certificate(tmp_path, "localhost", "localhost"))
    yield made
    made.close()


def by_psycopg(host: str, port: int) -> None:
    psycopg.connect(f"postgresql://app@{host}:{port}/propensity?sslmode=verify-full", connect_timeout=5)


def by_asyncpg(host: str, port: int) -> None:
    async def connect() -> None:
        await asyncpg.connect(host=host, port=port, user="app", database="propensity", ssl="verify-full", timeout=5)

    # A loop of its own, whatever another test left running in this thread.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, connect()).result()


@pytest.mark.parametrize("connect", [by_psycopg, by_asyncpg])
def test_only_a_server_with_the_right_certificate_and_name_is_told_anything(
    server: Server, connect: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(connect)
    # With the roots of RDS: this server's certificate is none of theirs.
    monkeypatch.setenv("PGSSLROOTCERT", str(ROOTS))
    with pytest.raises((psycopg.OperationalError, ssl.SSLError)):
        connect("localhost", server.port)
    # A certificate that is trusted, of another name.
    monkeypatch.setenv("PGSSLROOTCERT", str(server.certificate))
    with pytest.raises((psycopg.OperationalError, ssl.SSLError)):
        connect("127.0.0.1", server.port)
    assert not [told for told in server.told if b"app" in told]
    with pytest.raises((psycopg.OperationalError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        connect("localhost", server.port)  # hung up on, after it believed
    assert b"app" in server.told[-1]


def test_the_roots_are_those_that_were_looked_through_and_cover_every_environment() -> None:
    assert hashlib.sha256(ROOTS.read_bytes()).hexdigest() == SHA256
    found = x509.load_pem_x509_certificates(ROOTS.read_bytes())
    names = [str(one.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value) for one in found]
    assert all(one.issuer == one.subject and one.not_valid_after_utc.year > 2060 for one in found)
    assert {f"Amazon RDS {e.network.region} Root CA RSA2048 G1" for e in ENVIRONMENTS} <= set(names)


@pytest.mark.parametrize("image", ["api", "flows", "mlflow", "grafana"])
def test_every_image_holds_them_where_its_programs_look(image: str) -> None:
    text = (PROJECT / "images" / image / "Dockerfile").read_text(encoding="utf-8")
    assert f"COPY --chmod=0444 propensity/adapters/rds-roots.pem {IN_IMAGE}" in text
    told = re.findall(rf"^\s*(\w+)={IN_IMAGE}\b|ENV (\w+)={IN_IMAGE}\b", text, re.MULTILINE)
    assert {"".join(names) for names in told} == {"GF_DATABASE_CA_CERT_PATH" if image == "grafana" else "PGSSLROOTCERT"}
    if image == "grafana":
        source = (PROJECT / "images" / "grafana" / "provisioning" / "datasources" / "propensity.yaml").read_text(encoding="utf-8")
        assert f"sslRootCertFile: {IN_IMAGE}" in source
