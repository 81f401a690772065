#!/usr/bin/env python3
"""Holds a filled krew manifest against the rules of krew's documentation: validate.py eks-bootstrap.yaml

Krew itself checks the same on `kubectl krew install --manifest` (name, version, digests, selectors, paths that are clean);
its index also wants a licence that is installed and a short description. Needs PyYAML. Called by packaging/names_test.sh.
"""

import pathlib
import posixpath
import re
import sys

import yaml

PLATFORMS = {("linux", "amd64"), ("linux", "arm64"), ("darwin", "amd64"), ("darwin", "arm64")}
TARGETS = {
    ("linux", "amd64"): "x86_64-unknown-linux-musl",
    ("linux", "arm64"): "aarch64-unknown-linux-musl",
    ("darwin", "amd64"): "x86_64-apple-darwin",
    ("darwin", "arm64"): "aarch64-apple-darwin",
}
SEMVER = re.compile(r"v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")


def problems(path):
    manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
    unknown = set(manifest) - {"apiVersion", "kind", "metadata", "spec"}
    if unknown:
        yield f"unknown fields: {sorted(unknown)}"
    if manifest["apiVersion"] != "krew.googlecontainertools.github.com/v1alpha2" or manifest["kind"] != "Plugin":
        yield "it is no Plugin of v1alpha2"
    name = manifest["metadata"]["name"]
    if name != path.stem:
        yield f"the file is called {path.stem}, the plugin {name}"
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or name.startswith(("kube-", "kubectl-", "kubernetes-")):
        yield f"the name {name} is not one that the naming guide allows"

    spec = manifest["spec"]
    fields = {"version", "homepage", "shortDescription", "description", "caveats", "platforms"}
    if set(spec) - fields:
        yield f"unknown fields of spec: {sorted(set(spec) - fields)}"
    if not SEMVER.fullmatch(spec["version"]):
        yield f"{spec['version']} is not v and a semantic version"
    short = spec["shortDescription"]
    if not short or "\n" in short or len(short) > 50 or short.endswith("."):
        yield "the short description is empty, has more than a line or 50 characters, or ends with a period"
    if not spec["description"].strip() or not spec["homepage"].startswith("https://"):
        yield "description or homepage is missing"

    seen = set()
    for platform in spec["platforms"]:
        labels = platform["selector"]["matchLabels"]
        key = (labels.get("os"), labels.get("arch"))
        if set(labels) != {"os", "arch"} or key not in PLATFORMS or key in seen:
            yield f"selector {labels} is unknown or there twice"
            continue
        seen.add(key)
        if set(platform) - {"selector", "uri", "sha256", "files", "bin"}:
            yield f"{key}: unknown fields"
        if not re.fullmatch(r"[a-f0-9]{64}", platform["sha256"]):
            yield f"{key}: {platform['sha256']} is no SHA-256"
        version = spec["version"].removeprefix("v")
        stem = f"eks-bootstrap-{version}-{TARGETS[key]}"
        if platform["uri"] != f"{spec['homepage']}/releases/download/v{version}/{stem}.tar.gz":
            yield f"{key}: {platform['uri']} is not where the release puts {stem}.tar.gz"
        moved = {}
        for file in platform["files"]:
            if file["to"] != posixpath.normpath(file["to"]) or file["to"].startswith(("/", "..")):
                yield f"{key}: {file['to']} is not clean"
            moved[posixpath.normpath(posixpath.join(file["to"], posixpath.basename(file["from"])))] = file["from"]
        if moved.get(platform["bin"]) != f"{stem}/eks-bootstrap":
            yield f"{key}: bin {platform['bin']} is none of the files"
        if moved.get("LICENSE") != f"{stem}/LICENSE":
            yield f"{key}: the licence is not installed"
    if seen != PLATFORMS:
        yield f"platforms are missing: {sorted(PLATFORMS - seen)}"


def main():
    found = list(problems(pathlib.Path(sys.argv[1])))
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
