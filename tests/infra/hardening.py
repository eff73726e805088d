"""What every pod and container of the pipeline has, whichever it is."""

POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "fsGroup": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "privileged": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}


def labels(component: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "postgres-etl", "app.kubernetes.io/component": component}
