"""A document that describes an interface: its references, and whether what the server says is as its schemas say.

Debian has no package with the official meta-schemas of OpenAPI 3.1 and AsyncAPI 3.0. So openapi.py and asyncapi.py look
at what matters: the members of every object, that every reference is to something, that every schema is JSON Schema
2020-12, that every example is what its schema says."""

from jsonschema import Draft202012Validator, RefResolver


def check_members(kinds, kind, obj, where):
    needed, others = (set(words.split()) for words in kinds[kind])
    names = {name for name in obj if not name.startswith("x-")}
    assert needed <= names, f"{where}: a {kind} without {sorted(needed - names)}"
    assert names <= needed | others, f"{where}: a {kind} with {sorted(names - needed - others)}"


class Document:
    """A document with references in it."""

    def __init__(self, root):
        self.root = root
        self.resolver = RefResolver("", root)

    def resolve(self, obj):
        while "$ref" in obj:
            assert set(obj) == {"$ref"}, obj
            obj = self.at(obj["$ref"])
        return obj

    def at(self, reference):
        assert reference.startswith("#/"), reference
        found = self.root
        for name in reference[2:].split("/"):
            assert name in found, f"{reference} is nowhere"
            found = found[name]
        return found

    @staticmethod
    def references(obj):
        """All that are made in it."""
        if isinstance(obj, dict):
            if isinstance(obj.get("$ref"), str):
                yield obj["$ref"]
            for value in obj.values():
                yield from Document.references(value)
        elif isinstance(obj, list):
            for value in obj:
                yield from Document.references(value)

    def validate(self, schema, value, where):
        errors = list(Draft202012Validator(schema, resolver=self.resolver).iter_errors(value))
        said = [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:400]}" for e in errors]
        assert not errors, f"{where} is not as documented: {said}: {str(value)[:400]}"

    def check_schema(self, schema, where):
        Draft202012Validator.check_schema(schema)
        for example in schema.get("examples", []):
            self.validate(schema, example, f"an example of {where}")

    def check_references(self):
        """Each is to something. Returns them."""
        made = set(self.references(self.root))
        for reference in made:
            self.at(reference)
        return made
