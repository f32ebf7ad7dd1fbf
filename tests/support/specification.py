"""The specification of the Docker Engine API (Swagger 2) as what tests ask: operations, bodies, the shapes of answers."""
import functools
import pathlib

import jsonschema
import yaml

FILE = pathlib.Path(__file__).resolve().parent.parent / "api" / "docker-engine-api-1.56.swagger.yaml"
ERROR = {"$ref": "#/definitions/ErrorResponse"}
# Pointers without omitempty in dockerd's types, whatever the specification says of them.
POINTERS = {"MemorySwappiness", "OomKillDisable", "ExitCode"}
# Required there, and to be found nowhere else: its Size has it.
MISTAKES = {"UnpackedSize"}
KEPT = ("type", "enum", "pattern", "minimum", "maximum", "minItems", "maxItems", "required")


class Specification:
    def __init__(self, document):
        self.document = document
        self.definitions = document["definitions"]
        self.operations = [(method.upper(), path) for path, methods in document["paths"].items() for method in methods]

    @staticmethod
    @functools.cache
    def read():
        return Specification(yaml.safe_load(FILE.read_text()))

    def operation(self, method, path):
        return self.document["paths"][path][method.lower()]

    def body(self, method, path):
        """The schema of a JSON body; None without one."""
        for parameter in self.operation(method, path).get("parameters", []):
            if parameter["in"] == "body" and parameter["schema"].get("type") != "string":
                return self.resolved(parameter["schema"])
        return None

    def resolved(self, schema):
        """The schema without references and allOf: members of all parts in one."""
        while "$ref" in schema:
            schema = {**self.definitions[schema["$ref"].rsplit("/", 1)[1]], **{k: v for k, v in schema.items() if k != "$ref"}}
        if "allOf" not in schema:
            return schema
        merged = {key: value for key, value in schema.items() if key != "allOf"}
        properties = {}
        for part in schema["allOf"]:
            part = self.resolved(part)
            properties.update(part.get("properties", {}))
            merged.update({key: value for key, value in part.items() if key != "properties" and key not in merged})
        if properties or "properties" in merged:
            merged["properties"] = {**properties, **merged.get("properties", {})}
        return merged

    def json_schema(self, schema):
        """For jsonschema. Stricter than the document: an object has no members but those that stand there. Looser:
        Go writes null for empty lists, maps and absent objects, whether the document says so or not."""
        schema = self.resolved(schema)
        result = {key: schema[key] for key in KEPT if key in schema}
        if "required" in result:
            result["required"] = [name for name in result["required"] if name not in MISTAKES]
        if "properties" in schema:
            result["properties"] = {name: self.json_schema(dict(value, **{"x-nullable": True}) if name in POINTERS else value)
                                    for name, value in schema["properties"].items()}
            result["additionalProperties"] = False
            result.setdefault("type", "object")
        if isinstance(schema.get("additionalProperties"), dict):
            result["additionalProperties"] = self.json_schema(schema["additionalProperties"])
        if "items" in schema:
            result["items"] = self.json_schema(schema["items"])
        if schema.get("x-nullable") or result.get("type") in ("array", "object"):
            result["type"] = [result["type"], "null"] if "type" in result else ["object", "null"]
        if result.get("enum") == [{}]:
            del result["enum"]
        return result

    @functools.cache
    def validator(self, method, path, status):
        """Of a successful answer's body; None where the specification has no JSON for it."""
        schema = self.operation(method, path)["responses"][status].get("schema")
        if schema is None or (schema.get("type") == "string"):
            return None
        return jsonschema.Draft7Validator(self.json_schema(schema))

    @functools.cached_property
    def error_validator(self):
        return jsonschema.Draft7Validator(self.json_schema(ERROR))

    def errors(self, method, path, status, document):
        """What is wrong with an answer; empty when nothing is."""
        validator = self.error_validator if status >= 400 else self.validator(method, path, status)
        if validator is None:
            return []
        return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in validator.iter_errors(document)]

    def members(self, schema, depth=6):
        """(path, schema) of every member of a body: names, and "*" for any key of a map and any place of a list."""
        schema = self.resolved(schema)
        if depth == 0:
            return
        for name, value in schema.get("properties", {}).items():
            value = self.resolved(value)
            yield (name,), value
            yield from (((name, *path), inner) for path, inner in self.members(value, depth - 1))
        inner = schema.get("additionalProperties") if isinstance(schema.get("additionalProperties"), dict) else schema.get("items")
        if inner is not None:
            inner = self.resolved(inner)
            yield ("*",), inner
            yield from ((("*", *path), deeper) for path, deeper in self.members(inner, depth - 1))


def kind_of(schema):
    return schema.get("type", "object")


def wrong_value(schema):
    """Of a type that Go's decoder takes for no value of the schema."""
    return {"string": 7, "integer": "seven", "number": "seven", "boolean": "yes", "array": 7, "object": 7}[kind_of(schema)]


def nested(specification, schema, path, value):
    """A document that has `value` at a path of members()."""
    if not path:
        return value
    schema = specification.resolved(schema)
    if path[0] == "*" and "items" in schema:
        return [nested(specification, schema["items"], path[1:], value)]
    if path[0] == "*":
        return {"key": nested(specification, schema["additionalProperties"], path[1:], value)}
    return {path[0]: nested(specification, schema["properties"][path[0]], path[1:], value)}
