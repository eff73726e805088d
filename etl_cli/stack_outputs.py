"""What was deployed: the outputs of the stack that extracts and of the stack that loads, and the faults in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from etl_runtime.contract import PROTECTED_ENVIRONMENTS, ContractError, LoadBucket, load_buckets

from etl_cli.ending import RefusedError
from etl_cli.events import Stage


@dataclass(frozen=True, slots=True)
class StackOutputs:
    """The outputs of one stack, as `pulumi stack output --json` prints them."""

    path: Path
    values: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> StackOutputs:
        """Read a file of outputs.

        Raises:
            RefusedError: there is no such file, or it is no JSON object.
        """
        try:
            document = json.loads(path.read_text())
        except OSError as error:
            raise RefusedError(f"cannot read the outputs file {path}: {error.strerror}") from None
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise RefusedError(f"{path} is not a JSON object: write it with `pulumi stack output --json > {path}`")
        return cls(path, cast(dict[str, Any], document))

    def text(self, name: str) -> str:
        """An output that is a text.

        Raises:
            RefusedError: the stack has no such output.
        """
        value = self.values.get(name)
        if not isinstance(value, str) or not value:
            raise RefusedError(f"{self.path} has no `{name}`: this stack does not have the stage that exports it")
        return value

    def optional_text(self, name: str) -> str | None:
        """An output that is a text, or None where the stack has none of that name."""
        return self.text(name) if self.values.get(name) else None

    @property
    def load_buckets(self) -> dict[str, LoadBucket]:
        """Load environment → where its cleaned dumps go.

        Raises:
            RefusedError: the stack has no such output, or not of the agreed form.
        """
        value = self.values.get("load_buckets")
        try:
            return load_buckets(value if isinstance(value, str) else json.dumps(value))
        except ContractError:
            raise RefusedError(
                f"{self.path} has no usable `load_buckets`: it is not from a stack that extracts"
            ) from None


@dataclass(frozen=True, slots=True)
class Deployment:
    """The two stacks that a pipeline runs through; one may be both, and one may do for a single stage.

    Attributes:
        extract: outputs of the stack where the source lives; it has the queue and the transform too.
        load: outputs of the stack where the target lives.
    """

    extract: StackOutputs | None
    load: StackOutputs | None

    @classmethod
    def read(cls, extract: Path | None, load: Path | None) -> Deployment:
        """Read the files of outputs.

        Raises:
            RefusedError: neither is named, or one is unusable.
        """
        if extract is None and load is None:
            raise RefusedError(
                "no stack outputs: `pulumi stack output --json > outputs.json`, then name the file with --outputs "
                "or POSTGRES_ETL_OUTPUTS"
            )
        own = StackOutputs.read(extract) if extract else None
        return cls(own, own if load == extract else load and StackOutputs.read(load))

    def of(self, stage: Stage) -> StackOutputs:
        """The outputs of the stack in which a stage runs.

        Raises:
            RefusedError: they are not named.
        """
        outputs, option = (self.load, "load") if stage is Stage.LOAD else (self.extract, "extract")
        if outputs is None:
            raise RefusedError(f"{stage} needs the outputs of its stack: name them with --{option}-outputs")
        return outputs

    def load_bucket(self, environment: str) -> LoadBucket:
        """Where the cleaned dumps of an environment go.

        Raises:
            RefusedError: the environment is protected, or nothing deployed knows it.
        """
        # Protection is asked first: that a stack happens to know such a bucket is no permission.
        if environment in PROTECTED_ENVIRONMENTS:
            raise RefusedError(f"{environment} is protected: it is never the target of a load")
        buckets = self._load_buckets()
        if environment not in buckets:
            known = ", ".join(sorted(buckets.keys() - PROTECTED_ENVIRONMENTS)) or "none"
            raise RefusedError(f"no environment {environment!a} is deployed to load into; there is: {known}")
        return buckets[environment]

    def environments(self) -> list[str]:
        """The environments that may be loaded.

        Raises:
            RefusedError: the outputs do not say.
        """
        return sorted(self._load_buckets().keys() - PROTECTED_ENVIRONMENTS)

    def _load_buckets(self) -> dict[str, LoadBucket]:
        if self.extract is not None and "load_buckets" in self.extract.values:
            return self.extract.load_buckets
        outputs = self.of(Stage.LOAD)
        account = outputs.text("load_state_machine_arn").split(":")[4]
        return {outputs.text("environment"): LoadBucket(outputs.text("load_bucket"), account)}

    def check(self, environment: str, stages: tuple[Stage, ...]) -> None:
        """See that what the stages need is there and belongs together, before anything starts.

        Raises:
            RefusedError: an output is missing, or the outputs for the load are another environment's.
        """
        bucket = self.load_bucket(environment)
        for stage in stages:
            outputs = self.of(stage)
            for name in _NEEDED[stage]:
                outputs.text(name)
            if stage is Stage.LOAD:
                if outputs.text("environment") != environment:
                    own = outputs.text("environment")
                    raise RefusedError(f"{outputs.path} is of the stack {own!a}, not {environment!a}: name its outputs")
                if outputs.text("load_bucket") != bucket.name:
                    raise RefusedError(
                        f"{outputs.path} has another load bucket than the one that dumps for {environment} go to: "
                        "bring both stacks up to date"
                    )


_NEEDED = {
    Stage.EXTRACT: ("region", "extract_state_machine_arn", "extract_bucket"),
    Stage.TRANSFORM: ("region", "extract_bucket", "transform_namespace"),
    Stage.LOAD: ("region", "load_state_machine_arn", "load_bucket", "environment"),
}
