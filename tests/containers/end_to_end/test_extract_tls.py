"""Extract: a server is asked who it is before it is told anything, and there is no way around it."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.containers.end_to_end.programs import DUMP_ROLE, Programs

pytestmark = pytest.mark.end_to_end

SSL_REQUEST = struct.pack("!II", 8, 80877103)
"""What libpq sends first: https://www.postgresql.org/docs/current/protocol-message-formats.html"""


class Authority:
    """Signs certificates; its own is at `path`."""

    def __init__(self, directory: Path, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._directory = directory
        self.path = directory / f"{name}.pem"
        own = self._builder(self._name, self._key.public_key())
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.path.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
        return builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
            now + datetime.timedelta(days=1)
        )

    def certificate(self, address: str) -> Path:
        """A file with a server's key and its certificate, of this address alone."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([]), key.public_key()).add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=True
        )
        path = self._directory / f"{address}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        return path


@dataclass
class Listener:
    """Plays a Postgres server up to the point where it would be told who calls."""

    certificate: Path | None
    port: int = 0
    told: list[bytes] = field(default_factory=list)

    def serve(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with suppress(OSError), connection:
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        asked = connection.recv(8)
        if asked != SSL_REQUEST:
            self.told.append(asked)
        elif self.certificate is None:
            connection.sendall(b"N")
            self.told.append(connection.recv(1024))
        else:
            connection.sendall(b"S")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            with context.wrap_socket(connection, server_side=True) as secured:
                self.told.append(secured.recv(1024))


@contextmanager
def _listening(certificate: Path | None) -> Iterator[Listener]:
    listener = Listener(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listener.port = listening.getsockname()[1]
        thread = threading.Thread(target=listener.serve, args=(listening,), daemon=True)
        thread.start()
        try:
            yield listener
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(10)


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("trusted"), "trusted")


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("unknown"), "unknown")


Environment = Callable[[Listener], dict[str, str]]


@pytest.fixture
def environment(programs: Programs, bucket: str, trusted: Authority) -> Environment:
    def of(listener: Listener) -> dict[str, str]:
        verified = {"DB_SSLMODE": "verify-full", "DB_SSLROOTCERT": str(trusted.path), "DB_PORT": str(listener.port)}
        return programs.extract_environment("nightly", "marketplace", bucket, **verified)

    return of


def test_a_server_of_a_trusted_certificate_and_the_right_name_is_told_who_calls(
    programs: Programs, environment: Environment, trusted: Authority
) -> None:
    with _listening(trusted.certificate("127.0.0.1")) as listener:
        run = programs.run("pg_dump", environment(listener))
    # It hangs up then.
    assert run.code == 75, run.text
    assert any(f"user\0{DUMP_ROLE}\0".encode() in told for told in listener.told)


@pytest.mark.parametrize("fault", ["another name", "an unknown authority", "no certificate"])
def test_any_other_server_is_refused_and_told_nothing(
    programs: Programs, environment: Environment, trusted: Authority, unknown: Authority, fault: str
) -> None:
    certificate = {
        "another name": trusted.certificate("127.0.0.2"),
        "an unknown authority": unknown.certificate("127.0.0.1"),
        "no certificate": None,
    }[fault]
    with _listening(certificate) as listener:
        run = programs.run("pg_dump", environment(listener))
    assert run.code == 78, run.text
    assert run.error.startswith(
        f"database marketplace at 127.0.0.1:{listener.port}: TLS with verify-full was not agreed: "
    )
    assert b"".join(listener.told) == b""
