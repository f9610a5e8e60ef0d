"""Judges every answer by what others say: FHIR resources by the `fhir.resources` models (R4B), statuses, error codes and
media types by the server's own `/openapi.json`. Knows no scenario; what it finds is for the tally.
"""

import json
import re
import threading

from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.fhirresourcemodel import FHIRAbstractModel

ERROR_SYSTEM = "https://hikikae.dev/fhir/CodeSystem/error"
# What any server may say of itself when something broke; the scenarios count it on their own.
ALWAYS = {"500"}


class Judges:
    """Collects what is wrong, each fault once, with the first request that met it."""

    def __init__(self, wire):
        self.lock, self.faults, self.judged = threading.Lock(), {}, 0
        description = json.loads(wire.send("GET", "/openapi.json", {}, None).body)
        self.paths = [(pattern(path, item), item) for path, item in description["paths"].items()]

    def judge(self, method, path, answer):
        found = list(self.described(method, path.split("?")[0], answer))
        if answer.headers.get("content-type", "").startswith("application/fhir+json") and method != "HEAD":
            found += resource_faults(answer.body)
        with self.lock:
            self.judged += 1
            for fault in found:
                self.faults.setdefault(fault, f"{method} {path.split('?')[0]} {answer.status}")

    def described(self, method, path, answer):
        """The description of the answer, or what of the answer it does not tell."""
        operations = [item for known, item in self.paths if known.fullmatch(path)]
        operation = next((item[method.lower()] for item in operations if method.lower() in item), None)
        status = str(answer.status)
        if operation is None:
            # Who calls what is not described may be refused, by the router or before it, and nothing else.
            if answer.status < 400:
                yield f"{method} {path}: answered {status}, but not described"
            return
        name = operation["operationId"]
        told = operation["responses"].get(status)
        if told is None:
            # An id of another shape is no path of this operation.
            if status not in ALWAYS and answer.status != 404 and answer.headers.get("content-type"):
                yield f"{name}: {status} is not described"
            return
        media = answer.headers.get("content-type", "").split(";")[0]
        if method != "HEAD" and answer.body and media not in told.get("content", {}):
            yield f"{name}: {status} as {media} is not described"
        for code in answer.codes():
            if code not in told.get("x-codes", []):
                yield f"{name}: {status} {code} is not described"
        for header, header_told in told.get("headers", {}).items():
            if header_told.get("required") and header.lower() not in answer.headers:
                yield f"{name}: {status} without {header}"


def pattern(path, item):
    """The paths that a template describes."""
    shapes = {"uuid": "[0-9a-fA-F-]{36}"}
    parameters = [p for operation in item.values() for p in operation.get("parameters", []) if p["in"] == "path"]
    shape = {"{%s}" % p["name"]: shapes.get(p["schema"].get("format"), "[^/]+") for p in parameters}
    return re.compile("/".join(shape.get(part) or re.escape(part) for part in path.split("/")))


def resource_faults(body):
    """What an independent reading of FHIR R4 has against this body."""
    try:
        value = json.loads(body)
        model = get_fhir_model_class(value["resourceType"])
    except (ValueError, KeyError, TypeError) as error:
        yield f"no FHIR resource: {error!r}"
        return
    try:
        resource = model.model_validate(value)
    except Exception as error:
        for fault in getattr(error, "errors", lambda: [])() or [{"loc": (), "msg": repr(error)}]:
            place = ".".join("[]" if isinstance(part, int) else str(part) for part in fault["loc"])
            yield f"{value['resourceType']}.{place}: {fault['msg']}"
        return
    yield from code_faults(value["resourceType"], resource)


def code_faults(place, element):
    """Codes outside the value set that R4 binds them to: the models carry these sets and leave them to the caller.

    A set with `+` is open, and so is one with `mime`: any media type will do (R4 CapabilityStatement.format).
    """
    for name, field in type(element).model_fields.items():
        value = getattr(element, name, None)
        allowed = (field.json_schema_extra or {}).get("enum_values") if isinstance(field.json_schema_extra, dict) else None
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, FHIRAbstractModel):
                yield from code_faults(f"{place}.{name}", one)
            elif one is not None and allowed and not {"+", "mime"} & set(allowed) and str(one) not in allowed:
                yield f"{place}.{name}: {one} is none of {', '.join(allowed)}"
