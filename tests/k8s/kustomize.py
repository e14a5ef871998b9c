"""Renders k8s/ where there is no kubectl: the part of kustomize that it uses, no more.

What it does not know it refuses. Where there is a kubectl, a test holds its output against this.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]

_KNOWN = {"namespace", "resources", "components", "configMapGenerator", "patches", "images"}
# So that no word comes out, kustomize writes these for some digits of the hash.
_HASH_LETTERS = str.maketrans("013ae", "ghkmt")


def render(folder: Path) -> list[Document]:
    """The documents of `kubectl kustomize <folder>`, in no particular order."""
    documents: list[Document] = []
    _accumulate(folder, documents)
    for document in documents:
        if document["kind"] == "ConfigMap":
            _add_hash(document, documents)
    return documents


def _accumulate(folder: Path, documents: list[Document]) -> None:
    """Adds what a kustomization names and makes, and changes what is there, as it says."""
    (kustomization,) = _load(folder / "kustomization.yaml")
    unknown = set(kustomization) - {"apiVersion", "kind"} - _KNOWN
    if unknown:
        raise NotImplementedError(f"{folder}: {unknown}")
    for name in kustomization.get("resources", []):
        if (folder / name).is_dir():
            _accumulate(folder / name, documents)
        else:
            documents += _load(folder / name)
    for generator in kustomization.get("configMapGenerator", []):
        _generate(generator, documents)
    for name in kustomization.get("components", []):
        _accumulate(folder / name, documents)
    for patch in kustomization.get("patches", []):
        for change in _load(folder / patch["path"]):
            _merge(_find(change["kind"], change["metadata"]["name"], documents), change)
    for image in kustomization.get("images", []):
        _set_image(image, documents)
    if "namespace" in kustomization:
        _set_namespace(kustomization["namespace"], documents)


def _load(path: Path) -> list[Document]:
    return list(yaml.safe_load_all(path.read_text()))


def _find(kind: str, name: str, documents: list[Document]) -> Document:
    (found,) = [d for d in documents if (d["kind"], d["metadata"]["name"]) == (kind, name)]
    return found


def _generate(generator: Document, documents: list[Document]) -> None:
    data = dict(literal.split("=", 1) for literal in generator["literals"])
    name = generator["name"]
    if generator.get("behavior") == "merge":
        _find("ConfigMap", name, documents)["data"].update(data)
    else:
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        documents.append({**document, "data": data})


def _merge(target: Document, change: Document) -> None:
    """A strategic merge: null removes, lists whose items have names merge by name."""
    for key, value in change.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        elif isinstance(value, list) and all(_is_named(item) for item in value):
            named = {item["name"]: item for item in target.get(key, [])}
            for item in value:
                _merge(named.setdefault(item["name"], {}), item)
            target[key] = list(named.values())
        else:
            target[key] = value


def _is_named(item: object) -> bool:
    return isinstance(item, dict) and "name" in item


def _containers(documents: list[Document]) -> Iterator[Document]:
    for document in documents:
        pod = document.get("spec", {}).get("template", {}).get("spec", {})
        yield from pod.get("containers", [])


def _set_image(image: Document, documents: list[Document]) -> None:
    for container in _containers(documents):
        if container["image"].rpartition(":")[0] == image["name"]:
            container["image"] = f"{image['newName']}:{image['newTag']}"


def _set_namespace(namespace: str, documents: list[Document]) -> None:
    for document in documents:
        field = "name" if document["kind"] == "Namespace" else "namespace"
        document["metadata"][field] = namespace


def _add_hash(config_map: Document, documents: list[Document]) -> None:
    """Ends the name in a hash of the content, also where pods refer to it."""
    metadata, data = config_map["metadata"], config_map["data"]
    # The name belongs in there, but kustomize looks for it in the wrong place.
    hashed = {"data": data, "kind": "ConfigMap", "name": ""}
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:10].translate(_HASH_LETTERS)
    name, metadata["name"] = metadata["name"], f"{metadata['name']}-{digest}"
    for container in _containers(documents):
        for source in container.get("envFrom", []):
            if source["configMapRef"]["name"] == name:
                source["configMapRef"]["name"] = metadata["name"]
