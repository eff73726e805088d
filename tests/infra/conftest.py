"""The three stacks, each run once by the recording engine, one that has all there is, and a way to run others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etl_local.rendering.everything import BASE, CHANGES
from tests.infra.engine import Deployment, deploy, stack_config

Deploy = Callable[..., Deployment]


@pytest.fixture(scope="session")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of scrub rules, so that no test depends on those in force."""
    directory = tmp_path_factory.mktemp("scrub")
    (directory / "columns.yaml").write_text("tables: {}\n")
    (directory / "10_names.sql").write_text("-- nothing\n")
    (directory / "notes.txt").write_text("not a rule\n")
    return directory


@pytest.fixture(scope="session")
def run(rules: Path) -> Deploy:
    """Run a stack with some of its settings changed; None removes one."""

    def deployed(stack: str, *, preview: bool = False, **changes: Any) -> Deployment:
        config = {**stack_config(stack), "scrubDirectory": str(rules), **changes}
        return deploy(stack, {key: value for key, value in config.items() if value is not None}, preview=preview)

    return deployed


@pytest.fixture(scope="session")
def dev(run: Deploy) -> Deployment:
    """Every stage."""
    return run("dev")


@pytest.fixture(scope="session")
def sbx(run: Deploy) -> Deployment:
    """Load alone."""
    return run("sbx")


@pytest.fixture(scope="session")
def prod(run: Deploy) -> Deployment:
    """Extract and transform."""
    return run("prod")


@pytest.fixture(scope="session")
def whole(run: Deploy) -> Deployment:
    """Everything that the program can register, in one protected environment; service accounts by IRSA, no shell."""
    return run(BASE, **CHANGES)


@pytest.fixture(scope="session")
def opened(run: Deploy) -> Deployment:
    """The same with a shell in the tasks, and service accounts by Pod Identity."""
    return run(BASE, **{**CHANGES, "ecsExecEnabled": True, "eksOidcProviderArn": None, "eksClusterName": "platform"})
