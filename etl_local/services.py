"""AWS and Kubernetes of a stand-in, with the stack deployed in them and its programs run as processes."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from etl_runtime import contract

from etl_local.bucket_policy_bridge import judged_policies
from etl_local.clients import HOST
from etl_local.cloud import Cloud
from etl_local.databases import Database
from etl_local.deployer import Deployer
from etl_local.deployment import Order
from etl_local.ecs_bridge import bridged
from etl_local.kubelet import Kubelet
from etl_local.kubernetes_api import KubernetesApi
from etl_local.sdk_error_bridge import named_errors
from etl_local.stack_configuration import REGION
from etl_local.tasks import LocalTasks, TaskSurroundings

_PROGRAMS: Final = Path(__file__).resolve().parents[1] / "containers"


class Services:
    """The two services, as a context manager; what runs in them is ended first."""

    def __init__(self, directory: Path, launchers: Path, on_event: Callable[..., None]) -> None:
        """Start nothing yet.

        Args:
            directory: an existing directory for logs and for what the programs write.
            launchers: the directory with the Postgres programs.
            on_event: see `StandIn`.
        """
        self._directory = directory
        self._launchers = launchers
        self._on_event = on_event
        self._cloud = Cloud(REGION, directory / "cloud.log")
        self._kubernetes: KubernetesApi | None = None
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Services:
        with contextlib.ExitStack() as opened:
            opened.enter_context(self._cloud)
            self._on_event("cloud_started", url=self._cloud.url)
            opened.enter_context(judged_policies())
            opened.enter_context(named_errors())
            self._kubernetes = opened.enter_context(KubernetesApi(rbac=True))
            self._kubernetes.kubeconfig(self._kubeconfig)
            self._on_event("kubernetes_started", url=self._kubernetes.url)
            tasks = self._directory / "tasks"
            tasks.mkdir(mode=0o711)
            around = TaskSurroundings(
                directory=tasks, client=self._cloud.client, environment=self._program_environment()
            )
            local_tasks = LocalTasks(around, self._on_event)
            opened.enter_context(bridged(local_tasks))
            opened.callback(local_tasks.close)
            opened.callback(self._cloud.stop_executions)  # before their tasks, or they would answer for the failure
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def environment(self) -> dict[str, str]:
        """The variables by which a client finds both services."""
        return {**self._cloud.environment(), "KUBECONFIG": str(self._kubeconfig)}

    def deploy(self, deployer: Deployer, source: Database, target: Database, scrub_directory: Path) -> dict[str, Any]:
        """Deploy the stack.

        Returns:
            the stack's outputs.

        Raises:
            DeploymentError: the program or one of its resources failed.
        """
        assert self._kubernetes is not None  # noqa: S101  # for the type checker: set on entering
        order = Order(
            aws_url=self._cloud.url,
            kubernetes_url=self._kubernetes.url,
            kubernetes_token=self._kubernetes.access.administrator_token,
            source=source,
            target=target,
            scrub_directory=str(scrub_directory.resolve()),
            scrub_salt=secrets.token_hex(32),
            jobs=os.cpu_count() or 1,
        )
        outputs, resources = deployer.deploy(
            order, lambda made: self._on_event("resource_made", type=made["type"], resource=made["name"])
        )
        self._on_event("stack_deployed", resources=resources)
        return outputs

    def run_pods(self) -> None:
        """Run what is in Kubernetes, and what comes there later."""
        assert self._kubernetes is not None  # noqa: S101  # for the type checker: set on entering
        directory = self._directory / "pods"
        directory.mkdir(mode=0o711)
        kubelet = Kubelet(
            self._kubernetes,
            directory,
            # pods share the loopback interface of this machine, and are nobody else's to see
            {**self._program_environment(), "HOME": str(directory), contract.Env.METRICS_ADDRESS: HOST},
            on_log=lambda pod, line: self._on_event("pod_log", pod=pod, line=line),
        )
        self._opened.enter_context(kubelet)

    @property
    def _kubeconfig(self) -> Path:
        return self._directory / "kubeconfig"

    def _program_environment(self) -> dict[str, str]:
        """What a container has from its image and its host."""
        return {
            **self._cloud.environment(),
            "PATH": os.pathsep.join((str(self._launchers), os.defpath)),
            "PYTHONPATH": str(_PROGRAMS),
            "PYTHONUNBUFFERED": "1",
        }
