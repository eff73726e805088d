"""The metadata of a Kubernetes object of the pipeline: name, namespace, labels."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_kubernetes as k8s

from etl_infra.naming import labels


def object_meta(
    component: str,
    name: str,
    namespace: pulumi.Input[str],
    annotations: Mapping[str, pulumi.Input[str]] | None = None,
) -> k8s.meta.v1.ObjectMetaArgs:
    """Metadata with the labels of one component."""
    return k8s.meta.v1.ObjectMetaArgs(name=name, namespace=namespace, labels=labels(component), annotations=annotations)
