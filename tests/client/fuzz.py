#!/usr/bin/python3
"""Schemathesis against the running sandbox's own `/openapi.json`: `fuzz.py DIR [--seconds N] [--seed N]`.

Once with the token of a clinic, of a pharmacy and of a patient, each told the id of a Task it may see. Asserted: no 5xx,
no status, media type, header or shape of answer that the description does not tell. Exit 0 or 1.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from exchange_client import Actor, Sandbox

CHECKS = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "allow_header_conformance",
]


def described(sandbox, task_id):
    """The server's description, with an id that exists as the example of every id."""
    description = json.loads(sandbox.wire.send("GET", "/openapi.json", {}, None).body)
    for item in description["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                if task_id and parameter["in"] == "path" and parameter["schema"].get("format") == "uuid":
                    parameter["example"] = task_id
    return description


def fuzz(sandbox, name, actor, seconds, seed):
    ids = actor.task_ids()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "openapi.json")
        path.write_text(json.dumps(described(sandbox, ids[0] if ids else None)), "utf-8")
        command = [
            os.path.join(os.path.dirname(sys.executable), "schemathesis"), "run", str(path),
            "--url", sandbox.base_url, "--header", f"Authorization: Bearer {actor.token()}",
            "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing",
            "--max-examples", "20", "--max-time", str(seconds), "--seed", str(seed),
            "--suppress-health-check", "all", "--continue-on-failure", "--warnings", "off", "--no-color",
        ]
        ran = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=10 * seconds, check=False)
    holds = ran.returncode == 0
    print(f"fuzz: {name}: {'ok' if holds else 'FAILED'}", flush=True)
    if not holds:
        print(ran.stdout[-6000:], ran.stderr[-2000:], flush=True)
    return holds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("--seconds", type=int, default=25, help="of each of the three")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sandbox = Sandbox(options.directory)
    actors = {
        "clinic": sandbox.of_kind("clinic")[0],
        "pharmacy": sandbox.of_kind("pharmacy")[0],
        "patient": Actor(sandbox, next(patient for patient in sandbox.patients if patient.get("cert"))),
    }
    held = [fuzz(sandbox, name, actor, options.seconds, options.seed) for name, actor in actors.items()]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
