"""The stage of the journeys: who acts there, what they can do, and what is asserted after each step.

A story is a function of the stage. Its first words are its docstring; `step` prints what happens, the acts below do it,
and `sees` and `looked` assert what the patient then sees.
"""

import base64
import json
import os
import subprocess
import tempfile
import traceback
from pathlib import Path

import records
import signing
from exchange_client import FHIR_JSON, business_state, exchange_number, jwt, parameters

from .eyes import Eyes

# The program that runs the sandbox.
PROGRAM = os.environ.get("HIKIKAE", "target/debug/hikikae")
INSURED = ["insurer_number", "symbol", "number", "branch_number", "birth_date"]
XML, CSV = "application/xml", "text/csv"


class Stage:
    def __init__(self, world):
        self.world, self.sandbox, self.told = world, world.sandbox, set()
        self.people = {p["name"]: p for p in world.sandbox.practitioners + world.sandbox.patients}
        self.actors = {a.name: a for a in world.clinics + world.pharmacies}
        self.drugs = {d.name: d for d in world.drugs}
        self.eyes, self.before, self.title = None, set(), ""

    # Telling

    def tell(self, story):
        self.title = story.__doc__.strip().rstrip(".")
        print(f"\n{self.title}.", flush=True)
        try:
            story(self)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.check("the story is told to its end", False, f"{error!r} at {where.filename.rsplit('/', 1)[-1]}:{where.lineno}")

    def cast(self, *names):
        """The personas whose story it is; returns them as they act: facilities as actors, people as personas."""
        self.told.update(names)
        return [self.actors.get(name) or self.people.get(name) for name in names]

    def watch(self, patient):
        """The story is seen with the patient's card."""
        return self.seen_by(Eyes(self.sandbox, patient))

    def seen_by(self, eyes):
        """Whose eyes the story is seen through."""
        self.eyes = eyes
        self.before = {look[0] for look in eyes.looks()}
        return eyes

    def step(self, text):
        print(f"  {text}.", flush=True)

    def check(self, name, holds, reason=""):
        return self.world.check(name, holds, reason)

    def sees(self, task, *states, owner=None):
        """The Task, the list and the history agree, and the versions went through these states."""
        shown, listed, history = self.eyes.view(task)
        state = business_state(shown)
        self.check(f"the patient sees it {states[-1]}", state == states[-1], f"{state}")
        same = [(business_state(t), t["meta"]["versionId"]) for t in listed]
        self.check("and the same in the list", same == [(state, str(len(states)))], same)
        self.check("and how it came to that", history == list(states), history)
        if owner is not None:
            code = shown.get("owner", {}).get("identifier", {}).get("value")
            self.check("and who has it", code == owner.code, code)

    def looked(self, *acts, by, outcome="0", basis=None):
        """The access record names the facility with each of these acts since the last look at it."""
        fresh = [look for look in self.eyes.looks() if look[0] not in self.before]
        self.before |= {look[0] for look in fresh}
        told = {act for _, act, out, code, opened in fresh
                if (out, code) == (outcome, by.code) and (basis is None or basis in opened)}
        self.check(f"and in the access record who did it: {', '.join(acts)}", set(acts) <= told,
                   [(act, out, code, sorted(opened)) for _, act, out, code, opened in fresh])

    def reads(self, act, *words, by=None):
        """The newest record of an act says this, to the patient or to the eyes given."""
        told = (by or self.eyes).words(act)
        self.check(f"and reads of it: {act}", told and all(word in told[0][1] for word in words), told[:1])

    def refused(self, name, answer, status, *codes):
        self.world.refused(name, answer, status, *codes)

    # Acting

    def operator(self, *command):
        """What `hikikae admin` answers to whoever runs the exchange, on the database of the running sandbox."""
        directory = Path(self.sandbox.directory).resolve()
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as configuration:
            configuration.write(f"state_dir = {json.dumps(str(directory / 'server'))}\n")
            configuration.flush()
            run = subprocess.run([PROGRAM, "admin", *command, "--json", "--config", configuration.name],
                                 capture_output=True, text=True, check=False)
        self.check(f"the operator is answered: {command[0]}", run.returncode == 0, run.stderr)
        return json.loads(run.stdout or "{}")

    def known_as(self, patient, reason):
        """The id of a person, by the insurance card."""
        named = [f"--{field.replace('_', '-')}={patient[field]}" for field in INSURED if patient.get(field)]
        return self.operator("whose-data", *named, f"--reason={reason}")["records"][0]["id"]

    def drug(self, part):
        return next(drug for name, drug in self.drugs.items() if part in name)

    def lines(self, clinic, doctor, patient, drugs, days=7, more=()):
        lines = records.sj1_lines(clinic.persona, doctor, patient, drugs, days)
        before = next(n for n, line in enumerate(lines) if line.startswith("81,"))
        return lines[:before] + list(more) + lines[before:]

    def signed(self, *what, **how):
        """A prescription as its doctor signs it: clinic, doctor, patient, drugs."""
        return signing.prescription_xml(records.payload(self.lines(*what, **how)), self.world.signer(what[1]))

    def registered(self, clinic, document, content_type=XML, query=""):
        """Registers a document, with a reason for each finding. Returns the Task."""
        def send():
            return clinic.call("POST", f"/fhir/Task/$register{query}", document, content_type)

        answer, _ = clinic._resolving(send)
        self.check("it is registered", answer.status == 201, f"{answer.brief()} {answer.expressions()[:3]}")
        task = answer.resource()
        self.sandbox.keep_private(exchange_number(task))
        return self.world.remember(self.world.clinics.index(clinic), answer).resource()["id"], exchange_number(task)

    def prescribed(self, clinic, doctor, patient, drugs, **how):
        return self.registered(clinic, self.signed(clinic, doctor, patient, drugs, **how))

    def accepted(self, pharmacy, patient, number):
        """Takes it for the patient who shows the insurance card. Returns what was delivered."""
        answer = pharmacy.accept(number, self.world.identified(pharmacy, patient))
        self.check("the pharmacy has it", answer.status == 200, answer.brief())
        return base64.b64decode(answer.value("document")["data"])

    def result(self, at, origin, patient, task, delivered, drugs, days=7):
        """A result signed at a pharmacy (with its pharmacist) over what a clinic (with its doctor) prescribed."""
        (pharmacy, pharmacist), (clinic, doctor) = at, origin
        lines = records.cj1_lines(pharmacy.persona, pharmacist, clinic.persona, doctor, patient, task, drugs, days)
        return signing.dispensing_xml(records.payload(lines), delivered, self.world.signer(pharmacist))

    def dispensed(self, pharmacy, task, result, act="$dispense", content_type=XML):
        def send():
            return pharmacy.call("POST", f"/fhir/Task/{task}/{act}", result, content_type)

        answer, _ = pharmacy._resolving(send)
        self.check("the result is written back", answer.status == 200, f"{answer.brief()} {answer.expressions()[:3]}")
        return answer

    def act(self, actor, task, name, reason="患者の都合"):
        answer = actor.operate(f"/fhir/Task/{task}/{name}", parameters(reason=reason))
        self.check(f"{name} is done", answer.status == 200, answer.brief())
        return answer

    def whole(self, at, origin, patient, drugs):
        """Prescribed, accepted and dispensed, in one breath. Returns the id."""
        task, number = self.prescribed(*origin, patient, drugs)
        delivered = self.accepted(at[0], patient, number)
        self.dispensed(at[0], task, self.result(at, origin, patient, task, delivered, drugs))
        return task

    def by_card(self, facility, eyes, *consents):
        """The answer to the patient's card at a facility, with consents."""
        nonce = facility.operate("/fhir/Patient/$card-challenge", None).value("nonce")
        said = eyes.card(nonce=nonce, facility=facility.code, consent=list(consents))
        return facility.operate("/fhir/Patient/$verify-identity", parameters(cardAssertion=said))

    def staffed(self, facility, person):
        """Calls of a facility with a person at its terminal."""
        key, claims = self.world.signer(person), facility.claims(iss="person", sub="person")
        form = facility.assertion_form(jwt(facility.credentials, facility.claims()))
        answer = self.sandbox.token_request(form | {"practitioner_assertion": jwt(key, claims)})
        bearer = answer.resource()["access_token"]

        def call(method, path, body=None, identity=None, content_type=FHIR_JSON):
            sent = {"Authorization": f"Bearer {bearer}", "Accept": FHIR_JSON, "Content-Type": content_type}
            return self.sandbox.send(method, path, body, sent | ({"Identity-Token": identity} if identity else {}))

        return call
