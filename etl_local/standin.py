"""The whole world of the pipeline on one machine: AWS, Kubernetes and two databases, with the stack deployed in it."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from etl_local.deployer import Deployer
from etl_local.interrupts import Interrupts
from etl_local.postgres_installation import PostgresInstallation
from etl_local.state_directory import StateDirectory

if TYPE_CHECKING:
    # these take seconds to import, which start-up spends beside the Postgres servers' start
    from etl_local.clusters import PostgresCluster
    from etl_local.databases import Database

OnEvent = Callable[..., None]
"""Called as `on_event(name, **fields)` in whatever thread something happens."""


class StandIn:
    """AWS, Kubernetes and Postgres on this machine, as a context manager. One at a time in a process.

    However it is left, by the end of the block, an exception, Ctrl-C or SIGTERM, at any moment of its start-up too,
    every process that it started is ended and its directory removed; a caretaker does that for one that was killed.

    In its directory are the logs: `cloud.log` (faults of AWS's stand-in), `deployment.log`, `source.log`, `target.log`,
    `tasks/<task>.log` and `pods/logs/<pod>.log`.

    Attributes:
        directory: where everything is written, once entered.
        outputs: the stack's outputs, once entered.
        source_dsn: the database to dump, as its owner; a user's own as it was given.
        target_dsn: the database that is replaced, as the role that loads it.
    """

    def __init__(
        self,
        *,
        scrub_directory: Path,
        source_dsn: str | None = None,
        installation: PostgresInstallation | None = None,
        keep: bool = False,
        on_event: OnEvent = lambda *_, **__: None,
    ) -> None:
        """Start nothing yet.

        Args:
            scrub_directory: the rules that the stack applies.
            source_dsn: a database of this machine to dump, by a role that may read all of it; None makes an empty one.
            installation: the Postgres programs; by default those of the wheel.
            keep: whether the directory stays afterwards.
            on_event: told of the progress: `directory_made` {directory}, `postgres_started` {cluster, port},
                `cloud_started` {url}, `kubernetes_started` {url}, `resource_made` {type, resource}, `stack_deployed`
                {resources}, `ready` {seconds}; then `task_started` {task, container} and `task_stopped` {task,
                container, exit_code} of each ECS task, and `pod_log` {pod, line}.
        """
        self.directory = Path()
        self.outputs: dict[str, Any] = {}
        self.source_dsn = ""
        self.target_dsn = ""
        self._scrub_directory = scrub_directory
        self._given_source = source_dsn
        self._installation = installation
        self._keep = keep
        self._on_event = on_event
        self._interrupts = Interrupts()
        self._opened = contextlib.ExitStack()
        self._cancelled = threading.Event()
        self._deployer: Deployer | None = None
        self._environment: dict[str, str] = {}

    @property
    def outputs_file(self) -> Path:
        """The stack's outputs as JSON, as `pulumi stack output --json` writes them."""
        return self.directory / "outputs.json"

    def environment(self) -> dict[str, str]:
        """The variables by which the command line, or an AWS SDK or kubectl, finds this world; `PATH` among them."""
        return {**self._environment, "POSTGRES_ETL_OUTPUTS": str(self.outputs_file)}

    def __enter__(self) -> StandIn:
        """Start everything and deploy the stack.

        Raises:
            DeploymentError: the Pulumi program or one of its resources failed.
            ClusterError: a Postgres server did not start.
            SourceError: the given source cannot be one.
            PostgresMissingError: there are no usable Postgres programs.
        """
        outcome: list[BaseException] = []
        started = threading.Event()

        def start() -> None:
            try:
                self._start()
            except BaseException as error:  # raised again in the calling thread
                outcome.append(error)
            finally:
                started.set()

        # Signals reach the main thread alone: what another one does is never left half done. An event, for a join
        # that a signal interrupts takes the thread for ended.
        starter = threading.Thread(target=start, name="stand-in start", daemon=True)
        try:
            self._interrupts.__enter__()
            with self._interrupts.put_off():
                starter.start()
            started.wait()
            if outcome:
                raise outcome[0]
        except BaseException:
            self._close(started if starter.ident is not None else None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self, started: threading.Event | None = None) -> None:
        """Take everything down; a start that is still under way, until `started` is set, is broken off first."""
        try:
            with self._interrupts.put_off():
                if started is not None:
                    self._cancel()
                    started.wait()
                self._opened.close()
        finally:
            self._interrupts.__exit__(None, None, None)

    def _cancel(self) -> None:
        self._cancelled.set()
        if self._deployer is not None:
            self._deployer.kill()

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise InterruptedError("the start of the stand-in was interrupted")

    def _start(self) -> None:
        began = time.monotonic()
        self.directory = self._opened.enter_context(StateDirectory(keep=self._keep)).path
        self._on_event("directory_made", directory=str(self.directory))
        with ThreadPoolExecutor(1, "stand-in databases") as pool:
            self._deployer = deployer = self._opened.enter_context(Deployer(self.directory))
            launchers = (self._installation or PostgresInstallation.bundled()).launchers(self.directory)
            databases = pool.submit(self._start_databases, launchers)
            self._start_services(deployer, launchers, databases)
        self._on_event("ready", seconds=time.monotonic() - began)

    def _start_databases(self, launchers: Path) -> tuple[Database, Database]:
        from etl_local.clusters import ClusterTemplate, PostgresCluster  # noqa: PLC0415
        from etl_local.databases import create_source, create_target, existing_source  # noqa: PLC0415

        given = existing_source(self._given_source) if self._given_source is not None else None
        template = ClusterTemplate(self.directory / "template", launchers)

        def start(name: str, create: Callable[[PostgresCluster], Database]) -> Database:
            self._check()
            cluster = self._opened.enter_context(PostgresCluster(self.directory, launchers, name, template))
            self._on_event("postgres_started", cluster=name, port=cluster.port)
            return create(cluster)

        with ThreadPoolExecutor(2, "stand-in cluster") as pool:
            target = pool.submit(start, "target", create_target)
            source = given or pool.submit(start, "source", create_source).result()
            return source, target.result()

    def _start_services(
        self, deployer: Deployer, launchers: Path, databases: Future[tuple[Database, Database]]
    ) -> None:
        from etl_local.services import Services  # noqa: PLC0415

        self._check()
        services = self._opened.enter_context(Services(self.directory, launchers, self._on_event))
        self._check()
        source, target = databases.result()
        self.source_dsn, self.target_dsn = source.dsn, target.dsn
        self.outputs = services.deploy(deployer, source, target, self._scrub_directory)
        self._check()
        services.run_pods()
        self.outputs_file.touch(mode=0o600)
        self.outputs_file.write_text(json.dumps(self.outputs, indent=2))
        self._environment = {
            **services.environment(),
            "PATH": os.pathsep.join((str(launchers), os.environ.get("PATH", os.defpath))),
        }
