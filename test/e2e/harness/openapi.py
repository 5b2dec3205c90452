"""The document of the REST interface: its structure, and whether an answer is documented."""

import json
import re
import urllib.parse

from .document import Document, check_members

VERBS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}

# The members of each kind of object (OpenAPI 3.1.0, section 4.8): those that are required, and the others. Any may
# have x-….
OPENAPI = {
    "document": ("openapi info paths", "jsonSchemaDialect servers webhooks components security tags externalDocs"),
    "info": ("title version", "summary description termsOfService contact license"),
    "path": ("", f"summary description servers parameters {' '.join(sorted(VERBS))}"),
    "operation": (
        "operationId summary responses",
        "tags description externalDocs parameters requestBody callbacks deprecated security servers",
    ),
    "parameter": ("name in schema", "description required deprecated style explode example examples"),
    "body": ("content", "description required"),
    "response": ("description", "headers content links"),
    "header": ("schema", "description required deprecated style explode example examples"),
    "media": ("schema", "example examples encoding"),
    "components": ("", "schemas responses parameters examples requestBodies headers securitySchemes links pathItems"),
    "security": ("type", "description name in scheme bearerFormat flows openIdConnectUrl"),
}


def check_content(document, content, where):
    for kind, media in content.items():
        assert re.fullmatch(r"[a-z]+/[a-z.+-]+", kind), (where, kind)
        check_members(OPENAPI, "media", media, where)
        document.check_schema(media["schema"], where)


def check_response(document, response, where):
    check_members(OPENAPI, "response", response, where)
    assert "X-Request-Id" in response["headers"], where
    for name, header in response["headers"].items():
        header = document.resolve(header)
        check_members(OPENAPI, "header", header, f"{where}, {name}")
        document.check_schema(header["schema"], f"{where}, {name}")
    check_content(document, response.get("content", {}), where)


def check_parameters(document, parameters, path, where):
    found = [document.resolve(p) for p in parameters]
    for p in found:
        check_members(OPENAPI, "parameter", p, where)
        document.check_schema(p["schema"], where)
        assert p["in"] in ("query", "header", "path") and (p["in"] != "path" or p["required"] is True), (where, p)
    names = [(p["in"], p["name"]) for p in found]
    assert len(names) == len(set(names)), f"{where}: a parameter twice"
    assert {name for kind, name in names if kind == "path"} == set(re.findall(r"\{(\w+)\}", path)), where


def check_openapi(document):
    root = document.root
    assert root["openapi"] == "3.1.0"
    check_members(OPENAPI, "document", root, "the document")
    check_members(OPENAPI, "info", root["info"], "info")
    check_members(OPENAPI, "components", root["components"], "components")
    schemes, tags = root["components"]["securitySchemes"], {tag["name"] for tag in root["tags"]}
    for name, scheme in schemes.items():
        check_members(OPENAPI, "security", scheme, name)
    ids = []
    for path, item in root["paths"].items():
        assert path.startswith("/")
        check_members(OPENAPI, "path", item, path)
        for verb in VERBS & set(item):
            operation, where = item[verb], f"{verb} {path}"
            check_members(OPENAPI, "operation", operation, where)
            ids.append(operation["operationId"])
            assert set(operation["tags"]) <= tags, where
            check_parameters(document, item.get("parameters", []) + operation.get("parameters", []), path, where)
            check_content(document, operation.get("requestBody", {}).get("content", {}), where)
            for wanted in operation.get("security", root["security"]):
                assert set(wanted) <= set(schemes), where
            assert operation["responses"], where
            for status, response in operation["responses"].items():
                assert re.fullmatch(r"[1-5]\d\d", status), (where, status)
                check_response(document, document.resolve(response), f"{where}, {status}")
    assert len(ids) == len(set(ids)), "an operationId twice"
    for name, schema in root["components"]["schemas"].items():
        document.check_schema(schema, name)
    for name, response in root["components"]["responses"].items():
        check_response(document, response, name)
    for name, header in root["components"]["headers"].items():
        document.check_schema(header["schema"], name)
    made = document.check_references()
    for kind in ("schemas", "parameters"):
        unused = {name for name in root["components"][kind] if f"#/components/{kind}/{name}" not in made}
        assert not unused, f"{kind} that nothing refers to: {unused}"


class OpenApi(Document):
    """The document of the REST interface."""

    def operations(self):
        """(id, verb, path) of each."""
        for path, item in self.root["paths"].items():
            for verb in sorted(VERBS & set(item)):
                yield item[verb]["operationId"], verb.upper(), path

    def operation(self, name):
        for found, verb, path in self.operations():
            if found == name:
                return verb, path, self.root["paths"][path][verb.lower()]
        raise AssertionError(f"there is no operation {name}")

    def paths(self):
        """All that are documented, with the others at which each lives: path -> the item's path."""
        return {at: path for path, item in self.root["paths"].items() for at in [path, *item.get("x-also-at", [])]}

    def check(self, response, answer, where, head=False):
        """That an answer is what the document says of a response: its headers, its media type, its body."""
        self.check_headers(response, answer, where)
        content = response.get("content", {})
        kind = answer.header("Content-Type")
        if not content:
            # A 304 may say what type the answer would be of, that it is not.
            typed = kind is not None and answer.status != 304
            assert not typed and not answer.body, f"{where}: a body, and none is documented: {answer}"
            return
        kind = kind.split(";")[0]
        assert kind in content, f"{where}: {kind} is not documented: {answer}"
        if not head:
            value = json.loads(answer.body) if kind.endswith("json") else answer.body.decode()
            self.validate(content[kind]["schema"], value, f"{where}, {answer.status}")

    def check_headers(self, response, answer, where):
        everywhere = {n: h for n, h in self.root["components"]["headers"].items() if h.get("x-every-answer")}
        known = {n.lower(): self.resolve(h) for n, h in {**everywhere, **response["headers"]}.items()}
        sent = {name.lower() for name, _ in answer.headers} - {"content-type"}
        assert sent <= set(known), f"{where}: headers that are not documented: {sent - set(known)}: {answer}"
        for name, header in known.items():
            if name in sent:
                self.validate(header["schema"], answer.header(name), f"{where}, {name}")
            else:
                assert not header.get("required"), f"{where}: no {name}: {answer}"

    def check_answer(self, name, answer, head=False):
        """That an operation's answer is documented."""
        responses = self.operation(name)[2]["responses"]
        assert str(answer.status) in responses, f"{name}: {answer.status} is not documented: {answer}"
        self.check(self.resolve(responses[str(answer.status)]), answer, name, head)

    def check_request(self, name, target, body, good):
        """That an operation's parameters are documented; and its JSON, where it is good, and only there."""
        _, path, operation = self.operation(name)
        shared = self.root["paths"][path].get("parameters", [])
        found = [self.resolve(p) for p in shared + operation.get("parameters", [])]
        schemas = {p["name"]: p["schema"] for p in found if p["in"] == "query"}
        schemes = self.root["components"]["securitySchemes"].values()
        schemas.update({s["name"]: {} for s in schemes if s.get("in") == "query"})
        for key, value in urllib.parse.parse_qsl(urllib.parse.urlsplit(target).query):
            assert key in schemas, f"{name}: the parameter {key} is not documented"
            read = {"integer": int, "array": lambda one: [one]}.get(schemas[key].get("type"), str)
            if good:
                self.validate(schemas[key], read(value), f"{name}, {key}")
        if "requestBody" not in operation:
            assert body is None, f"{name}: a body, and none is documented"
        elif body is not None:
            self.check_body(operation["requestBody"]["content"]["application/json"]["schema"], body, good, name)

    def check_body(self, schema, body, good, name):
        try:
            self.validate(schema, json.loads(body), f"the body of {name}")
        except AssertionError:
            assert not good
        else:
            assert good, f"{name}: {body} is documented, and was refused"

    def check_common(self, name, answer):
        """That an answer is the response of that name."""
        self.check(self.root["components"]["responses"][name], answer, name)
