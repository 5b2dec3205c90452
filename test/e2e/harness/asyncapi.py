"""The document of what is not REST: its structure, and whether a message is documented."""

from .document import Document, check_members

# The members of each kind of object (AsyncAPI 3.0.0, "Schema"): those that are required, and the others. Any may have
# x-….
ASYNCAPI = {
    "document": ("asyncapi info", "id servers defaultContentType channels operations components"),
    "info": ("title version", "description termsOfService contact license tags externalDocs"),
    "server": ("host protocol", "protocolVersion pathname description title summary variables security tags bindings"),
    "channel": ("address messages", "title summary description servers parameters tags externalDocs bindings"),
    "operation": (
        "action channel messages",
        "title summary description security tags externalDocs bindings traits reply",
    ),
    "reply": ("channel messages", "address"),
    "message": (
        "name payload examples",
        "headers correlationId contentType title summary description tags externalDocs bindings traits",
    ),
    "components": (
        "",
        "schemas servers channels operations messages securitySchemes parameters replies messageTraits operationTraits",
    ),
}


def check_message(document, name, message):
    check_members(ASYNCAPI, "message", message, name)
    for part in ("payload", "headers"):
        document.check_schema(message.get(part, {}), name)
    assert message["examples"], name
    for example in message["examples"]:
        assert set(example) <= {"name", "summary", "payload", "headers"} and "payload" in example, name
        document.validate(message["payload"], example["payload"], f"an example of {name}")
        document.validate(message.get("headers", {}), example.get("headers", {}), f"an example of {name}")


def check_asyncapi(document):
    root = document.root
    assert root["asyncapi"] == "3.0.0"
    check_members(ASYNCAPI, "document", root, "the document")
    check_members(ASYNCAPI, "info", root["info"], "info")
    check_members(ASYNCAPI, "components", root["components"], "components")
    for name, server in root["servers"].items():
        check_members(ASYNCAPI, "server", server, name)
    for name, schema in root["components"]["schemas"].items():
        document.check_schema(schema, name)
    for name, message in root["components"]["messages"].items():
        check_message(document, name, message)
    told = set()
    for name, operation in root["operations"].items():
        check_members(ASYNCAPI, "operation", operation, name)
        assert operation["action"] in ("send", "receive"), name
        for part in [operation] + ([operation["reply"]] if "reply" in operation else []):
            if part is not operation:
                check_members(ASYNCAPI, "reply", part, name)
            home = part["channel"]["$ref"] + "/messages/"
            refs = {m["$ref"] for m in part["messages"]}
            assert refs and all(ref.startswith(home) for ref in refs), name
            told |= refs
    for name, channel in root["channels"].items():
        check_members(ASYNCAPI, "channel", channel, name)
        silent = {m for m in channel["messages"] if f"#/channels/{name}/messages/{m}" not in told}
        assert not silent, f"messages of {name} that no operation has: {silent}"
    made = document.check_references()
    for kind in ("schemas", "messages"):
        unused = {name for name in root["components"][kind] if f"#/components/{kind}/{name}" not in made}
        assert not unused, f"{kind} that nothing refers to: {unused}"


class AsyncApi(Document):
    """The document of what is not REST. `seen` gathers the messages that were validated: (channel, message)."""

    def __init__(self, root):
        super().__init__(root)
        self.seen = set()

    def messages(self, channel, action):
        """key -> message, of what the server sends on the channel, or receives."""
        found = {}
        for operation in self.root["operations"].values():
            if operation["channel"]["$ref"] != f"#/channels/{channel}":
                continue
            parts = [operation] if operation["action"] == action else []
            if operation["action"] == "receive" and action == "send" and "reply" in operation:
                parts.append(operation["reply"])
            for ref in (m["$ref"] for part in parts for m in part["messages"]):
                found[ref.rpartition("/")[2]] = self.resolve(self.at(ref))
        return found

    def check(self, channel, action, name, payload, headers=None, packet=None):
        """That a message of that name is documented for the channel, and is as documented."""
        for key, message in self.messages(channel, action).items():
            if message["name"] == name and (packet is None or message.get("x-packet") == packet):
                where = f"{name} on {channel}"
                self.validate(message["payload"], payload, where)
                assert headers is None or "headers" in message, where
                self.validate(message.get("headers", {}), headers or {}, f"the headers of {where}")
                self.seen.add((channel, key))
                return payload
        raise AssertionError(f"{channel} has no message {name} ({packet}) to {action}: {payload}")

    def unseen(self, channel):
        return {key for key in self.messages(channel, "send") if (channel, key) not in self.seen}
