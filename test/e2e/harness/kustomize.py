"""What `kubectl kustomize` does, as far as the manifests here ask for it; and whether objects are what Kubernetes knows.

Debian 12 has no kubectl whose kustomize reads today's files. Its python3-kubernetes has the API's types: each member of
each object is looked up in them, so one that is misspelt, or in the wrong place, is found."""

import copy
import os
import re

import kubernetes.client
import yaml


def load(path):
    with open(path, encoding="utf-8") as file:
        return [document for document in yaml.safe_load_all(file) if document]


def walk(obj):
    yield obj
    for child in obj.values() if isinstance(obj, dict) else obj if isinstance(obj, list) else ():
        yield from walk(child)


def patch(obj, operations):
    """RFC 6902, those operations that are used."""
    for op in operations:
        *way, last = (part.replace("~1", "/").replace("~0", "~") for part in op["path"].split("/")[1:])
        at = obj
        for part in way:
            at = at[int(part)] if isinstance(at, list) else at[part]
        key = last if isinstance(at, dict) else len(at) if last == "-" else int(last)
        if op["op"] == "test":
            assert at[key] == op["value"], op
        elif op["op"] == "remove":
            del at[key]
        elif op["op"] == "replace":
            assert key in at if isinstance(at, dict) else key < len(at), op
            at[key] = op["value"]
        else:
            assert op["op"] == "add", op
            if isinstance(at, list):
                at.insert(key, op["value"])
            else:
                at[key] = op["value"]


def build(folder):
    """The objects of a kustomization, by kind and name."""
    (root,) = load(os.path.join(folder, "kustomization.yaml"))
    known = {"apiVersion", "kind", "namespace", "resources", "secretGenerator", "images", "patches"}
    assert set(root) <= known, root
    objects = {}
    for resource in root["resources"]:
        path = os.path.join(folder, resource)
        if os.path.isdir(path):
            objects |= build(path)
        else:
            objects |= {(o["kind"], o["metadata"]["name"]): o for o in load(path)}
    for wanted in root.get("patches", ()):
        (operations,) = load(os.path.join(folder, wanted["path"]))
        patch(objects[wanted["target"]["kind"], wanted["target"]["name"]], operations)
    for secret in root.get("secretGenerator", ()):
        data = {}
        for name in secret["envs"]:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                data |= dict(line.rstrip("\n").split("=", 1) for line in file if line.strip())
        objects["Secret", secret["name"]] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": secret["name"]},
            "type": "Opaque",
            "stringData": data,
        }
    for obj in walk(list(objects.values())):
        for image in root.get("images", ()):
            if isinstance(obj, dict) and obj.get("image") == image["name"]:
                obj["image"] = f"{image['newName']}:{image['newTag']}"
    for kind, name in objects:
        if kind != "Namespace":
            objects[kind, name]["metadata"]["namespace"] = root["namespace"]
    return copy.deepcopy(objects)


def check_type(kind, value, where):
    """That the value is one of the API's type of that name, as its client writes types."""
    if m := re.fullmatch(r"list\[(.*)\]", kind):
        assert isinstance(value, list), where
        for n, item in enumerate(value):
            check_type(m[1], item, f"{where}/{n}")
    elif m := re.fullmatch(r"dict\(str, (.*)\)", kind):
        assert isinstance(value, dict) and all(isinstance(key, str) for key in value), where
        for key, item in value.items():
            check_type(m[1], item, f"{where}/{key}")
    elif kind in ("str", "int", "bool", "float"):
        # A quantity, and a port by name, are written as either: the client says str and object for them.
        types = {"str": (str, int) if "/resources/" in where else str, "int": int, "bool": bool, "float": (int, float)}
        assert isinstance(value, types[kind]) and (kind == "bool" or not isinstance(value, bool)), f"{where}: {value!r}"
    elif kind != "object":
        model = getattr(kubernetes.client, kind)
        names = {model.attribute_map[attribute]: attribute for attribute in model.openapi_types}
        assert isinstance(value, dict) and set(value) <= set(names), f"{where}: {set(value) - set(names)}"
        for name, item in value.items():
            check_type(model.openapi_types[names[name]], item, f"{where}/{name}")
        model(**{names[name]: item for name, item in value.items()})  # it refuses what lacks a required member


def check_object(obj):
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = f"{version.capitalize()}{obj['kind']}"
    assert group in ("", "apps", "policy", "networking.k8s.io"), obj["apiVersion"]
    check_type(kind, obj, kind)
