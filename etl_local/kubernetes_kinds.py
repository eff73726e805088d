"""The kinds of object that the Kubernetes stand-in serves, and how path, manifest and message name them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object as its JSON document."""


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One kind of object. `group` is "" for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As a manifest's `apiVersion` says it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """As most messages say it: `jobs.batch`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """As messages about an invalid object say it: `Job.batch`, `Pod`."""
        return f"{self.kind}.{self.group}" if self.group else self.kind


def _types(group: str, version: str, kinds: str, *, namespaced: bool = True) -> Iterator[ResourceType]:
    for word in kinds.split():
        plural, _, kind = word.partition("=")
        yield ResourceType(group, version, plural, kind, namespaced)


_BUILT_IN = (
    *_types("", "v1", "namespaces=Namespace nodes=Node persistentvolumes=PersistentVolume", namespaced=False),
    *_types(
        "",
        "v1",
        "configmaps=ConfigMap endpoints=Endpoints events=Event limitranges=LimitRange "
        "persistentvolumeclaims=PersistentVolumeClaim pods=Pod podtemplates=PodTemplate "
        "resourcequotas=ResourceQuota secrets=Secret serviceaccounts=ServiceAccount services=Service",
    ),
    *_types(
        "admissionregistration.k8s.io",
        "v1",
        "mutatingwebhookconfigurations=MutatingWebhookConfiguration "
        "validatingadmissionpolicies=ValidatingAdmissionPolicy "
        "validatingadmissionpolicybindings=ValidatingAdmissionPolicyBinding "
        "validatingwebhookconfigurations=ValidatingWebhookConfiguration",
        namespaced=False,
    ),
    *_types(
        "apps", "v1", "daemonsets=DaemonSet deployments=Deployment replicasets=ReplicaSet statefulsets=StatefulSet"
    ),
    *_types("autoscaling", "v2", "horizontalpodautoscalers=HorizontalPodAutoscaler"),
    *_types("batch", "v1", "cronjobs=CronJob jobs=Job"),
    *_types("coordination.k8s.io", "v1", "leases=Lease"),
    *_types("networking.k8s.io", "v1", "ingresses=Ingress networkpolicies=NetworkPolicy"),
    *_types("networking.k8s.io", "v1", "ingressclasses=IngressClass", namespaced=False),
    *_types("policy", "v1", "poddisruptionbudgets=PodDisruptionBudget"),
    *_types("rbac.authorization.k8s.io", "v1", "rolebindings=RoleBinding roles=Role"),
    *_types(
        "rbac.authorization.k8s.io",
        "v1",
        "clusterrolebindings=ClusterRoleBinding clusterroles=ClusterRole",
        namespaced=False,
    ),
    *_types("scheduling.k8s.io", "v1", "priorityclasses=PriorityClass", namespaced=False),
    *_types("storage.k8s.io", "v1", "storageclasses=StorageClass", namespaced=False),
)


class Kinds:
    """The kinds that one API server knows: the built-in ones, and those it met in manifests of its own process."""

    def __init__(self) -> None:
        self._types = list(_BUILT_IN)

    def __iter__(self) -> Iterator[ResourceType]:
        return iter(tuple(self._types))

    def at(self, group: str, version: str, plural: str) -> ResourceType | None:
        """The type that a request path names."""
        wanted = (group, version, plural)
        return next((t for t in self._types if (t.group, t.version, t.plural) == wanted), None)

    def of(self, kind: str, api_version: str | None = None) -> ResourceType:
        """The type of a kind.

        Raises:
            KeyError: it is not known.
        """
        for known in self._types:
            if known.kind == kind and api_version in (None, known.api_version):
                return known
        raise KeyError(f"{kind} in {api_version or 'any version'}")

    def of_manifest(self, manifest: Object) -> ResourceType:
        """The type of a manifest. A kind met for the first time is taken in, as if its definition had been installed.

        Raises:
            ValueError: the manifest has no `apiVersion` or no `kind`.
        """
        kind, api_version = manifest.get("kind"), manifest.get("apiVersion")
        if not kind or not api_version:
            raise ValueError("a manifest needs apiVersion and kind")
        try:
            return self.of(kind, api_version)
        except KeyError:
            group, _, version = api_version.rpartition("/")
            met = ResourceType(group, version, kind.lower() + "s", kind, "namespace" in manifest.get("metadata", {}))
            self._types.append(met)
            return met


NAMESPACE = next(t for t in _BUILT_IN if t.kind == "Namespace")
POD = next(t for t in _BUILT_IN if t.kind == "Pod")
CONFIG_MAP = next(t for t in _BUILT_IN if t.kind == "ConfigMap")
SECRET = next(t for t in _BUILT_IN if t.kind == "Secret")
SERVICE_ACCOUNT = next(t for t in _BUILT_IN if t.kind == "ServiceAccount")
RESOURCE_QUOTA = next(t for t in _BUILT_IN if t.kind == "ResourceQuota")
EVENT = next(t for t in _BUILT_IN if t.kind == "Event")
DEPLOYMENT = next(t for t in _BUILT_IN if t.kind == "Deployment")
JOB = next(t for t in _BUILT_IN if t.kind == "Job")
ROLE = next(t for t in _BUILT_IN if t.kind == "Role")
ROLE_BINDING = next(t for t in _BUILT_IN if t.kind == "RoleBinding")
CLUSTER_ROLE = next(t for t in _BUILT_IN if t.kind == "ClusterRole")
CLUSTER_ROLE_BINDING = next(t for t in _BUILT_IN if t.kind == "ClusterRoleBinding")
