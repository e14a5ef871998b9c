"""The overlays of k8s/, rendered, and what tests ask of them."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.k8s.kustomize import Document, render
from tests.processes import ROOT

K8S = ROOT / "k8s"
SERVER = {"app.kubernetes.io/name": "vibe-server"}
VALKEY = {"app.kubernetes.io/name": "valkey"}


@dataclass(frozen=True)
class Overlay:
    folder: Path
    documents: list[Document]

    def of_kind(self, *kinds: str) -> list[Document]:
        return [document for document in self.documents if document["kind"] in kinds]

    def get(self, kind: str, name: str = "vibe-server") -> Document:
        (found,) = [d for d in self.of_kind(kind) if d["metadata"]["name"] == name]
        return found

    def workloads(self) -> list[Document]:
        return self.of_kind("Deployment", "StatefulSet")

    def selected(self, labels: dict[str, str]) -> list[Document]:
        """The workloads whose pods have these labels."""
        found = [(w, w["spec"]["template"]["metadata"]["labels"]) for w in self.workloads()]
        return [workload for workload, all_labels in found if labels.items() <= all_labels.items()]

    def policies_of(self, labels: dict[str, str]) -> list[Document]:
        """The specs of the network policies for the pods with exactly these labels."""
        specs = [policy["spec"] for policy in self.of_kind("NetworkPolicy")]
        return [spec for spec in specs if spec["podSelector"].get("matchLabels") == labels]

    def server(self) -> dict[str, Any]:
        """The server's container."""
        return container(self.get("Deployment"))

    def settings(self) -> dict[str, str]:
        """The ConfigMap that the server has in its environment."""
        (source,) = self.server()["envFrom"]
        return dict(self.get("ConfigMap", source["configMapRef"]["name"])["data"])


def container(workload: Document) -> dict[str, Any]:
    (only,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(only)


def ports(workload: Document) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container(workload)["ports"]}


@contextmanager
def overlays() -> Iterator[dict[str, Overlay]]:
    """By name; and production as it is with all of its components."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(K8S, copy, dirs_exist_ok=True)
        complete = Path(copy) / "overlays" / "production"
        kustomization = complete / "kustomization.yaml"
        head, components = kustomization.read_text().split("#components:")
        kustomization.write_text(f"{head}components:{components.replace('#  -', '  -')}")
        folders = {path.name: path for path in sorted((K8S / "overlays").iterdir())}
        folders["production with components"] = complete
        yield {name: Overlay(folder, render(folder)) for name, folder in folders.items()}
