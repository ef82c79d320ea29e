"""Composes the Kubernetes manifests as Kustomize does, as far as `config/deploy/kubernetes` needs it: no registry has Kustomize itself.

Any field that this module does not know is an error, so a manifest cannot be composed differently here. Where kubectl is installed,
a test compares both. `python -m tests.deploy.kustomize OUT` writes each composed directory to OUT/core and, as far as its kinds are
not those of Kubernetes itself, to OUT/custom, for the tools that check them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

Manifest = dict[str, Any]
KUBERNETES = Path(__file__).parents[2] / "config" / "deploy" / "kubernetes"
APPLICABLE = ("sqlite", "postgres", "keda", "monitoring")
CUSTOM_GROUPS = ("monitoring.coreos.com", "keda.sh")
KNOWN = {"apiVersion", "kind", "resources", "configMapGenerator", "images", "patches"}


def load(path: Path) -> list[Manifest]:
    """Return the documents of a YAML file. Fails on a duplicate key."""
    return list(YAML(typ="safe", pure=True).load_all(path.read_text()))


def compose(directory: Path) -> list[Manifest]:
    """Return what `kubectl kustomize DIRECTORY` prints, as data, in the order of the resources."""
    manifests, generated = _collect(directory)
    for manifest in manifests:
        _use_generated_names(manifest, generated)
    return manifests


def _collect(directory: Path) -> tuple[list[Manifest], dict[str, str]]:
    """The manifests of a directory, and the full name of each generated ConfigMap by its short name."""
    (kustomization,) = load(directory / "kustomization.yaml")
    assert set(kustomization) <= KNOWN, set(kustomization) - KNOWN
    manifests: list[Manifest] = []
    generated: dict[str, str] = {}
    for resource in kustomization.get("resources", ()):
        path = directory / resource
        if path.is_dir():
            below, names = _collect(path)
            manifests += below
            generated |= names
        else:
            manifests += load(path)
    for generator in kustomization.get("configMapGenerator", ()):
        made = _config_map(directory, generator)
        generated[generator["name"]] = made["metadata"]["name"]
        manifests.append(made)
    for image in kustomization.get("images", ()):
        _replace_image(manifests, image)
    for patch in kustomization.get("patches", ()):
        _patch(manifests, patch)
    return manifests, generated


def _config_map(directory: Path, generator: Mapping[str, Any]) -> Manifest:
    assert set(generator) <= {"name", "namespace", "files", "envs"}, generator
    data = {file: (directory / file).read_text() for file in generator.get("files", ())}
    for file in generator.get("envs", ()):
        lines = [line for line in (directory / file).read_text().splitlines() if line and not line.startswith("#")]
        data |= dict(line.split("=", 1) for line in lines)
    name = f"{generator['name']}-{_name_hash(data)}"
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": generator["namespace"]}, "data": data}


def _name_hash(data: Mapping[str, str]) -> str:
    """The suffix that Kustomize adds to a name: a digest of the JSON that Go writes, with an empty name."""
    text = json.dumps({"data": data, "kind": "ConfigMap", "name": ""}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(str.maketrans("013ae", "ghkmt"))


def pod_templates(manifests: list[Manifest]) -> Iterator[Manifest]:
    """Yield the pod templates of these manifests."""
    return (manifest["spec"]["template"] for manifest in manifests if manifest["kind"] in ("Deployment", "StatefulSet"))


def _replace_image(manifests: list[Manifest], image: Mapping[str, str]) -> None:
    assert set(image) <= {"name", "newName", "newTag"}, image
    for template in pod_templates(manifests):
        for container in template["spec"]["containers"]:
            if container["image"] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"


def _patch(manifests: list[Manifest], patch: Mapping[str, Any]) -> None:
    """Apply a JSON patch that only removes fields."""
    target = patch["target"]
    found = [each for each in manifests if (each["kind"], each["metadata"]["name"]) == (target["kind"], target["name"])]
    assert found, target
    for manifest in found:
        for operation in YAML(typ="safe", pure=True).load(patch["patch"]):
            assert operation["op"] == "remove", operation
            *parents, field = operation["path"].strip("/").split("/")
            at: Any = manifest
            for parent in parents:
                at = at[parent]
            del at[field]


def _use_generated_names(manifest: Manifest, generated: Mapping[str, str]) -> None:
    """Replace the short names of generated ConfigMaps in pod templates."""
    for template in pod_templates([manifest]):
        for container in template["spec"]["containers"]:
            for source in container.get("envFrom", ()):
                reference = source["configMapRef"]
                reference["name"] = generated[reference["name"]]
        for volume in template["spec"]["volumes"]:
            if "configMap" in volume:
                volume["configMap"]["name"] = generated[volume["configMap"]["name"]]


def write(manifests: list[Manifest], path: Path) -> None:
    """Write the manifests as one file. JSON is YAML that every parser reads alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"---\n{json.dumps(manifest, indent=2)}\n" for manifest in manifests))


def main(out: Path) -> None:
    """Write all that can be applied, for `make deploy-check`."""
    for name in APPLICABLE:
        manifests = compose(KUBERNETES / name)
        custom = [each for each in manifests if each["apiVersion"].split("/")[0] in CUSTOM_GROUPS]
        if core := [each for each in manifests if each not in custom]:
            write(core, out / "core" / f"{name}.yaml")
        if custom:
            write(custom, out / "custom" / f"{name}.yaml")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
