"""Completes the bill of materials that cyclonedx-py makes from runtime.lock: `make sbom`.

cyclonedx-py knows neither the version of the watcher, which is not in pyproject.toml, nor what the watcher depends on directly. Runs in
the environment of checks.lock. The output depends on the repository alone: the same commit gives the same bytes.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parents[1]


def normalized(name: str) -> str:
    """Return the name of a package as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required_directly() -> set[str]:
    """Return the names of the packages that pyproject.toml requires, with all extras: the image has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]
    return {normalized(re.split(r"[\[<>=; ]", each)[0]) for each in required}


def complete(bill: dict) -> dict:
    """Add the version and the dependencies of the watcher. Exits with a message if the bill differs from runtime.lock."""
    locked = {normalized(name) for name in re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / "runtime.lock").read_text(), re.MULTILINE)}
    references = {normalized(component["name"]): component["purl"] for component in bill["components"]}
    if references.keys() != locked:
        sys.exit(f"the bill of materials differs from runtime.lock: {sorted(references.keys() ^ locked)}")
    for component in bill["components"]:
        component["bom-ref"] = component["purl"]
        del component["description"]  # the line of the lock, again
    watcher = bill["metadata"]["component"]
    (watcher["version"],) = re.findall(r'^__version__ = "(.+)"$', (ROOT / "watcher" / "__init__.py").read_text(), re.MULTILINE)
    bill["dependencies"] = [
        {"ref": watcher["bom-ref"], "dependsOn": sorted(references[name] for name in required_directly())},
        *({"ref": reference} for reference in sorted(references.values())),
    ]
    bill["compositions"] = [{"aggregate": "unknown", "dependencies": sorted(references.values())}]
    return bill


def main(raw: Path, out: Path) -> None:
    """Read what cyclonedx-py has written, and write the complete bill. Exits with a message if that breaks the schema of CycloneDX."""
    text = json.dumps(complete(json.loads(raw.read_text())), indent=2, sort_keys=True) + "\n"
    if mistake := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"{out}: {mistake}")
    out.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
