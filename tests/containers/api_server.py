"""A Kubernetes API server for tests: the double, or a real one where `KUBEBUILDER_ASSETS` names its programs.

The directory holds `etcd` and `kube-apiserver`, as https://book.kubebuilder.io/reference/envtest lays them out. No
controllers run beside either: Jobs become what a test makes of them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from etl_local.kubernetes_api import KubernetesApi

_START_SECONDS = 60


@dataclass
class ApiServer:
    """One API server as its administrator sees it: JSON over HTTP, whatever its make.

    `certificate` is what it has signed itself, once it runs.
    """

    url: str
    token: str
    certificate: Path | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self._pool = self.pool(8)

    def pool(self, most: int, **options: Any) -> urllib3.PoolManager:
        """Connections to it."""
        certificates = str(self.certificate) if self.certificate else None
        return urllib3.PoolManager(maxsize=most, ca_certs=certificates, **options)

    def ask(self, method: str, path: str, document: Any = None, kind: str = "application/json") -> dict[str, Any]:
        answer = self._pool.request(
            method,
            self.url + path,
            json=document,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": kind},
        )
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.data!r}"
        return answer.json()

    def new_namespace(self) -> str:
        """A namespace that no other test has."""
        name = f"etl-{next(self._numbers)}-{secrets.token_hex(3)}"
        self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    def kubeconfig(self, path: Path, url: str, namespace: str) -> Path:
        """Write a kubeconfig for the administrator at another address of this server."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": url}}],
            "users": [{"name": "test", "user": {"token": self.token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
            "current-context": "test",
        }
        path.write_text(yaml.safe_dump(document))
        return path


@contextlib.contextmanager
def api_server(directory: Path) -> Iterator[ApiServer]:
    """The real one where there is one, else the double."""
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        with _real(Path(assets), directory) as server:
            yield server
        return
    with KubernetesApi() as double:
        yield ApiServer(double.url, double.access.administrator_token)


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def _real(assets: Path, directory: Path) -> Iterator[ApiServer]:
    client, peer, secure = _free_ports(3)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key_file = directory / "service-account.pem"
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    token = secrets.token_urlsafe(24)
    tokens = directory / "tokens.csv"
    tokens.write_text(f"{token},administrator,1,system:masters\n")
    programs = (
        [
            str(assets / "etcd"),
            f"--data-dir={directory / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{client}",
            f"--advertise-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
        ],
        [
            str(assets / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{client}",
            "--bind-address=127.0.0.1",
            f"--secure-port={secure}",
            f"--cert-dir={directory / 'certificates'}",
            f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={key_file}",
            f"--service-account-signing-key-file={key_file}",
            "--disable-admission-plugins=ServiceAccount",
        ],
    )
    with contextlib.ExitStack() as opened:
        for argv in programs:
            log = opened.enter_context((directory / f"{Path(argv[0]).name}.log").open("wb"))
            process = subprocess.Popen(argv, stdout=log, stderr=log)
            opened.callback(process.wait)
            opened.callback(process.terminate)
        server = ApiServer(f"https://127.0.0.1:{secure}", token, directory / "certificates" / "apiserver.crt")
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(urllib3.exceptions.HTTPError, AssertionError, ValueError, OSError):
                server.ask("GET", "/api/v1/namespaces/default")
                break
            assert time.monotonic() < deadline, f"kube-apiserver does not answer; see {directory}"
            time.sleep(0.1)
        yield server
