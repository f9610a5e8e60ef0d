"""How a patient looks at their own record: with the card at /oauth2/token, or, without one, through a representative."""

import json
import time
import uuid

from exchange_client import FHIR_JSON, business_state, exchange_number, jwt

KIND = "https://hikikae.dev/fhir/CodeSystem/consent-kind"


def entries(answer):
    return [entry["resource"] for entry in answer.resource().get("entry") or []]


def last_first(bundle):
    """The states of a history, the first first."""
    return [business_state(resource) for resource in reversed(entries(bundle))]


class Eyes:
    """A patient with a card."""

    def __init__(self, sandbox, persona):
        self.sandbox, self.persona, self.bearer = sandbox, persona, None
        self.key = sandbox.identity(persona)

    def card(self, **changes):
        """What the card signs."""
        now = int(time.time())
        claims = {"iss": "card", "sub": "card", "aud": self.sandbox.base_url, "jti": str(uuid.uuid4()), "iat": now,
                  "exp": now + 240}
        return jwt(self.key, claims | changes)

    def login(self, **fields):
        return self.sandbox.token_request(fields | {
            "grant_type": "client_credentials", "client_assertion": self.card(),
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        })

    def id(self):
        return self.login().resource()["actor"]["id"]

    def call(self, method, path, body=None, **headers):
        self.bearer = self.bearer or self.login().resource()["access_token"]
        sent = {"Authorization": f"Bearer {self.bearer}", "Accept": FHIR_JSON, "Content-Type": FHIR_JSON} | headers
        return self.sandbox.send(method, path, json.dumps(body).encode() if body else None, sent)

    def view(self, task):
        """The Task, the same in the list of all, and the states it went through."""
        listed, path = [], "/fhir/Task?_count=100"
        while path:
            page = self.call("GET", path)
            listed += entries(page)
            following = [link["url"] for link in page.resource().get("link") or [] if link["relation"] == "next"]
            path = following[0].removeprefix(self.sandbox.base_url) if following else None
        history = last_first(self.call("GET", f"/fhir/Task/{task}/_history"))
        return self.call("GET", f"/fhir/Task/{task}").resource(), [t for t in listed if t["id"] == task], history

    def number(self, task):
        return exchange_number(self.call("GET", f"/fhir/Task/{task}").resource())

    def medicines(self, task, kind="MedicationDispense"):
        """How many medicines of this prescription stand in the shared history."""
        found = entries(self.call("GET", f"/fhir/{kind}?_count=200"))
        return sum(task in json.dumps(resource) for resource in found if resource["status"] != "cancelled")

    def consents(self):
        """What is in force: kind, permit or deny, and the institution code or None for all."""
        told = set()
        for consent in entries(self.call("GET", "/fhir/Consent")):
            actors = consent["provision"].get("actor") or [{}]
            code = actors[0].get("reference", {}).get("identifier", {}).get("value")
            told.add((consent["category"][0]["coding"][0]["code"], consent["provision"]["type"], code))
        return told

    def words(self, *acts):
        """What the access record says of these acts, in Japanese and English; the newest first."""
        events = entries(self.call("GET", "/fhir/AuditEvent?_count=100"))
        return [(e["id"], e["text"]["div"]) for e in events if e["subtype"][0]["code"] in acts]

    def looks(self):
        """What facilities did: id of the record, act, outcome, institution code, what opened it; the newest first."""
        told = []
        for event in entries(self.call("GET", "/fhir/AuditEvent?_count=100")):
            who = [a["who"]["identifier"]["value"] for a in event["agent"] if "identifier" in a.get("who", {})]
            basis = {d["valueString"] for e in event.get("entity") or [] for d in e.get("detail") or [] if d["type"] == "basis"}
            if who:
                told.append((event["id"], event["subtype"][0]["code"], event["outcome"], who[0], basis))
        return told


class ActingFor(Eyes):
    """A representative (代理人), who looks with the own card at the record of somebody else."""

    def __init__(self, sandbox, persona, patient_id):
        super().__init__(sandbox, persona)
        self.patient_id = patient_id

    def login(self, **fields):
        return super().login(acting_for=self.patient_id, **fields)
