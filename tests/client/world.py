"""What the scenarios share: the cast, the drugs the server knows, unused patient and drug pairs, and the tally.

Every prescription made here is remembered and cancelled at the end where it still can be, so that the script may be
run against the same sandbox again and again.
"""

import random
import re
import threading
import time

import records
import signing
from exchange_client import Sandbox


class Tally:
    """One printed line per check."""

    def __init__(self):
        self.passed = self.failed = 0
        self.scenario = ""

    def check(self, name, holds, reason=""):
        if holds:
            self.passed += 1
        else:
            self.failed += 1
        print(f"{self.scenario}: {name}: {'ok' if holds else f'FAILED {reason}'}", flush=True)
        return bool(holds)

    def note(self, text):
        print(f"{self.scenario}: note: {text}", flush=True)


class World:
    def __init__(self, directory, seed=None):
        self.seed = seed if seed is not None else time.time_ns() % 1_000_000
        self.random = random.Random(self.seed)
        self.sandbox = Sandbox(directory)
        self.tally = Tally()
        self.clinics = self.sandbox.of_kind("clinic", "hospital")
        self.pharmacies = self.sandbox.of_kind("pharmacy")
        self.doctors = [self.sandbox.people("Medical Doctor", c.code)[0] for c in self.clinics]
        self.pharmacists = [self.sandbox.people("Pharmacist", p.code)[0] for p in self.pharmacies]
        self.keys = {}
        self.patients, self.unverified, self.drugs = [], [], []
        self.open = []
        self.open_lock = threading.Lock()

    def check(self, name, holds, reason=""):
        return self.tally.check(name, holds, reason)

    def refused(self, name, answer, statuses, *codes):
        """The answer is an OperationOutcome with one of the statuses and, if any are named, one of the codes."""
        statuses = {statuses} if isinstance(statuses, int) else set(statuses)
        shaped = answer.resource().get("resourceType") == "OperationOutcome"
        named = not codes or any(c in codes for c in answer.codes())
        wanted = f"wanted {'/'.join(map(str, sorted(statuses)))} {'|'.join(codes)}, got {answer.brief()}"
        return self.check(name, answer.status in statuses and shaped and named, wanted)

    def refused_or_limited(self, name, answer, statuses, *codes):
        """As `refused`, but a limit on attempts, reached by earlier runs, is right as well."""
        if answer.status == 429:
            wait = answer.headers.get("retry-after", "")
            self.check(f"{name}: Retry-After of the limit on attempts", wait.isdigit(), wait)
            return self.refused(name, answer, 429, "too-many-attempts", "too-many-requests")
        return self.refused(name, answer, statuses, *codes)

    def signer(self, person):
        ident = self.keys.get(id(person))
        if ident is None:
            ident = self.keys[id(person)] = self.sandbox.identity(person)
        return ident

    def prepare(self):
        """Finds the patients whose identity the exchange confirms and the drugs it knows."""
        for patient in self.sandbox.patients:
            answer = self.pharmacies[0].verify_identity(patient)
            (self.patients if answer.status == 200 else self.unverified).append((patient, answer))
        self.patients = [p for p, _ in self.patients]
        if not self.patients:
            raise RuntimeError(f"no patient verifies: {self.unverified[0][1].brief()}")
        self.random.shuffle(self.patients)
        self.drugs = list(records.DRUGS)
        for _ in range(3):
            lines = self.prescription_lines(0, self.patients[0], self.drugs)
            answer = self.clinics[0].register(self.signed(0, lines))
            self.remember(0, answer)
            if answer.status != 422:
                break
            named = {int(m[1]) for e in answer.expressions() if (m := re.match(r"SJ1\[line (\d+)\]", e))}
            fields = [lines[n - 1].split(",") for n in named if 0 < n <= len(lines)]
            refused = {f[1] for f in fields if f[0].isdigit() and int(f[0]) > 100}  # RP numbers
            kept = [d for rp, d in enumerate(self.drugs, 1) if str(rp) not in refused]
            if len(kept) == len(self.drugs):
                break
            self.drugs = kept
        if answer.status not in (201, 409) or not self.drugs:
            raise RuntimeError(f"cannot register a plain prescription: {answer.brief()} {answer.expressions()[:5]}")
        self.random.shuffle(self.drugs)

    def prescription_lines(self, clinic, patient, drugs):
        return records.sj1_lines(self.clinics[clinic].persona, self.doctors[clinic], patient, drugs)

    def signed(self, clinic, lines, odd=None, by=None):
        """The clinic's doctor (or the identity `by`) signs the lines."""
        return signing.prescription_xml(records.payload(lines), by or self.signer(self.doctors[clinic]), odd)

    def prescription(self, clinic, patient, drugs, odd=None, by=None):
        return self.signed(clinic, self.prescription_lines(clinic, patient, drugs), odd, by)

    def remember(self, clinic, answer):
        if answer.status == 201:
            with self.open_lock:
                self.open.append((clinic, answer.resource()["id"]))
        return answer

    def registered(self, clinic, patient, drugs):
        """A registered prescription with all findings mitigated: its document and its Task."""
        document = self.prescription(clinic, patient, drugs)
        answer, _ = self.clinics[clinic].register_resolving(document)
        if answer.status != 201:
            raise RuntimeError(f"cannot register: {answer.brief()} {answer.expressions()[:3]}")
        self.remember(clinic, answer)
        return document, answer.resource()

    def clean_pair(self, clinic):
        """A patient and a drug that raise no finding at this clinic, tried out and withdrawn again."""
        pairs = [(p, d) for p in self.patients for d in self.drugs]
        for patient, drug in self.random.sample(pairs, min(30, len(pairs))):
            answer = self.clinics[clinic].register(self.prescription(clinic, patient, [drug]))
            if answer.status == 201:
                cancelled = self.clinics[clinic].cancel(answer.resource()["id"])
                if cancelled.status != 200:
                    raise RuntimeError(f"cannot cancel: {cancelled.brief()}")
                return patient, drug
        raise RuntimeError(f"no patient and drug without a finding; last answer {answer.brief()}")

    def identified(self, facility, patient):
        """An identity token for the patient at the facility."""
        answer = facility.verify_identity(patient)
        token = answer.value("identityToken")
        if answer.status != 200 or not token:
            raise RuntimeError(f"identity not verified: {answer.brief()}")
        return token

    def dispensing(self, pharmacy, clinic, patient, task_id, delivered, drugs, by=None, stated_id=None, odd=None):
        """A signed dispensing document embedding the delivered prescription."""
        lines = records.cj1_lines(
            self.pharmacies[pharmacy].persona, self.pharmacists[pharmacy], self.clinics[clinic].persona,
            self.doctors[clinic], patient, stated_id or task_id, drugs,
        )
        identity = by or self.signer(self.pharmacists[pharmacy])
        return signing.dispensing_xml(records.payload(lines), delivered, identity, odd)

    def tidy(self):
        """Cancels what is left; refusals do not matter here."""
        for clinic, task_id in self.open:
            self.clinics[clinic].cancel(task_id, "試験の後始末")
        self.open = []


def together(calls):
    """Starts all calls at the same moment and returns their answers in order."""
    barrier = threading.Barrier(len(calls))
    answers = [None] * len(calls)

    def run(index, call):
        barrier.wait()
        try:
            answers[index] = call()
        except Exception as error:  # reported by the caller as a missing answer
            answers[index] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    broken = [a for a in answers if isinstance(a, Exception)]
    if broken:
        raise RuntimeError(f"{len(broken)} of {len(calls)} calls got no answer: {broken[0]!r}")
    return answers

