"""Kubernetes objects made over HTTP, as the Pulumi provider makes them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from etl_local.kubernetes_kinds import Kinds


class ObjectRefusedError(Exception):
    """The API server refused an object; the message is the server's."""


class KubernetesObjects:
    """What an administrator makes in one cluster."""

    def __init__(self, url: str, token: str) -> None:
        """Connect to nothing yet.

        Args:
            url: the API server's.
            token: the administrator's.
        """
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._kinds = Kinds()
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by a proxy

    def create(self, manifest: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Create one object.

        Returns:
            `<namespace>/<name>`, or the name alone, and the object as the server has it.

        Raises:
            ObjectRefusedError: the server does not want it.
        """
        request = urllib.request.Request(  # noqa: S310  # the stand-in's own address
            self._url + self._path(manifest), json.dumps(manifest).encode(), self._headers, method="POST"
        )
        try:
            with self._opener.open(request) as response:
                made = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise ObjectRefusedError(json.load(error)["message"]) from None
        metadata = made["metadata"]
        return "/".join(filter(None, (metadata.get("namespace"), metadata["name"]))), made

    def _path(self, manifest: dict[str, Any]) -> str:
        kind = self._kinds.of_manifest(manifest)
        group = f"apis/{kind.group}" if kind.group else "api"
        namespace = manifest["metadata"].get("namespace", "default")
        place = f"namespaces/{namespace}/" if kind.namespaced else ""
        return f"/{group}/{kind.version}/{place}{kind.plural}"
