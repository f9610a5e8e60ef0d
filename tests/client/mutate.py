#!/usr/bin/python3
"""Sends mutated documents, bodies, headers, tokens and paths: `mutate.py DIR --count 10000 --seconds 300`.

Every case is drawn from its own number and the seed, so that `--only N` repeats one. Asserted of every answer: it
arrives within 10 s, it is no 5xx but 503 `overloaded`, a refusal carries an OperationOutcome with a code of the contract (or an OAuth error),
and no mutated document is stored unless the mutation changed nothing but white space outside the signed parts.
"""

import argparse
import base64
import json
import random
import re
import sys
import threading
import time
from collections import Counter

from lxml import etree

import records
import signing
from exchange_client import ERROR_CODES, FHIR_JSON, exchange_number, jwt, parameters
from refusals import OAUTH_ERRORS
from world import World

WORKERS = 8
SLOWEST_SECONDS = 10.0
# Answers an HTTP implementation gives by itself, before any application sees the request.
PROTOCOL_STATUSES = (400, 414, 431)
JUNK = [b"\0", b"\xff\xfe", b"\r\n", b"'", b'"', b"<", b">", b"&", b"%s%n", b"\xe2\x80\xae", b"\xed\xa0\x80", b"A" * 5000, b"-1", b"1e999", b"../", b"${x}"]


def mutate_bytes(rng, data):
    """One to three edits of arbitrary bytes."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(data) + 1) if data else 0
        length = rng.choice((1, 1, 2, 8, 64, 500))
        edit = rng.randrange(7)
        if edit == 0 and data:
            data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif edit == 1:
            del data[at : at + length]
        elif edit == 2:
            data[at:at] = rng.choice(JUNK)
        elif edit == 3:
            data[at:at] = rng.randbytes(length)
        elif edit == 4:
            data[at:at] = data[at : at + length]
        elif edit == 5:
            del data[at:]
        else:
            data[at : at + length] = bytes(reversed(data[at : at + length]))
    return bytes(data)


def mutate_xml(rng, document):
    """An edit of the markup: most keep the document well-formed."""
    tags = list(re.finditer(rb"<[^>]+>", document))
    tag = rng.choice(tags)
    edit = rng.randrange(13)
    if edit == 0:
        return mutate_bytes(rng, document)
    if edit == 1:  # white space between elements, a case that may be accepted
        return document[: tag.start()] + rng.choice((b" ", b"\n", b"\t\n ")) + document[tag.start() :]
    if edit == 2:
        extra = rng.choice((b"<!-- x -->", b"<?x y?>", b"<![CDATA[x]]>", b"<x/>", b"&amp;", b"&x;", b"&#0;", b"x"))
        return document[: tag.start()] + extra + document[tag.start() :]
    if edit == 3:
        return document[: tag.start()] + document[tag.end() :]
    if edit == 4:
        attributes = list(re.finditer(rb'(\w+)="([^"]*)"', document))
        found = rng.choice(attributes)
        value = rng.choice((b"", b"x", found[2] + b"x", found[2].swapcase(), rng.choice(attributes)[2]))
        return document[: found.start(2)] + value + document[found.end(2) :]
    if edit == 5:
        attributes = list(re.finditer(rb' (\w+)="([^"]*)"', document))
        found = rng.choice(attributes)
        return document[: found.start()] + document[found.end() :]
    if edit in (6, 7):
        texts = [m for m in re.finditer(rb">([A-Za-z0-9+/=]{20,})<", document)]
        found = rng.choice(texts)
        at = rng.randrange(found.start(1), found.end(1))
        new = rng.choice(b"ABCabc019+/= \n")
        return document[:at] + bytes([new]) + document[at + (1 if edit == 6 else 0) :]
    root = etree.fromstring(document)
    elements = list(root.iter(etree.Element))[1:]
    one, two = rng.choice(elements), rng.choice(elements)
    parent = one.getparent()
    if edit == 8:
        parent.insert(rng.randrange(len(parent) + 1), etree.fromstring(etree.tostring(one)))
    elif edit == 9:
        parent.remove(one)
    elif edit == 10 and not any(a is one for a in two.iterancestors()) and one is not two:
        two.append(one)
    elif edit == 11:
        one.set(rng.choice(("id", "Id", "ID", "Algorithm", "URI", "Value")), rng.choice(("PrescriptionDocument", "PrescriptionSign", "x")))
    else:
        wrapper = etree.Element(rng.choice(("Wrapper", "Prescription", "PrescriptionDocument")))
        parent.replace(one, wrapper)
        wrapper.append(one)
    text = etree.tostring(root, encoding=rng.choice(("UTF-8", "UTF-8", "UTF-8", "UTF-16", "US-ASCII", "Shift_JIS")), xml_declaration=rng.random() < 0.9)
    return text


def mutate_record(rng, lines):
    """An edit of the CSV records, to be signed afterwards: the signature is right, the content need not be."""
    lines = list(lines)
    at = rng.randrange(len(lines))
    edit = rng.randrange(6)
    if edit == 0:
        del lines[at]
    elif edit == 1:
        lines.insert(at, rng.choice(lines))
    elif edit == 2:
        lines[at] = mutate_bytes(rng, lines[at].encode()).decode("utf-8", "replace")
    elif edit == 3:
        fields = lines[at].split(",")
        fields[rng.randrange(len(fields))] = rng.choice(("", "0", "-1", "1.5", "9" * 40, "x", "　", "２", "\t", "あ" * 300, "20010231", "1e5", "\ufeff", "0.000000001"))
        lines[at] = ",".join(fields)
    elif edit == 4:
        lines[at] += "," * rng.choice((1, 5, 3000))
    else:
        rng.shuffle(lines)
    return lines


def mutate_json(rng, body):
    """An edit of a JSON body, by structure or by bytes."""
    if rng.random() < 0.4:
        return mutate_bytes(rng, body)
    value = json.loads(body)
    nodes = []

    def walk(node):
        nodes.append(node)
        for child in node.values() if isinstance(node, dict) else node:
            if isinstance(child, (dict, list)):
                walk(child)
    walk(value)
    node = rng.choice(nodes)
    odd = rng.choice((None, True, -1, 1e308, 10**40, "", "\0", "\ud800", "x" * 100_000, [], {}, [[]], {"valueString": "x"}, "2026-02-30"))
    if isinstance(node, dict) and node:
        name = rng.choice(list(node))
        if rng.random() < 0.3:
            del node[name]
        else:
            node[rng.choice((name, name, "value", "resourceType", "extension"))] = odd
    elif isinstance(node, list):
        node.insert(rng.randrange(len(node) + 1), odd if rng.random() < 0.5 or not node else rng.choice(node))
    text = json.dumps(value).encode()
    if rng.random() < 0.1:
        text = rng.choice((b"\xef\xbb\xbf" + text, text + text, b"[" * 50_000, text.decode().encode("utf-16"), b'{"a":' * 5000 + b"1" + b"}" * 5000))
    return text


def same_but_white_space(original, mutated):
    """Whether both documents have the same tree, white space between elements and around Base64 text aside, and the
    identifiers that XML signatures leave optional and that nothing signed refers to."""
    def attributes(element):
        optional = etree.QName(element).localname in ("SignatureValue", "SignedInfo", "Object", "QualifyingProperties")
        return sorted((k, v) for k, v in element.attrib.items() if not (optional and k == "Id"))

    def tree(document):
        root = etree.fromstring(document)
        if root.xpath("//comment() | //processing-instruction()"):
            raise ValueError
        return [(e.tag, attributes(e), "".join((e.text or "").split()), "".join((e.tail or "").split()), len(e)) for e in root.iter()]
    try:
        signing.verify(mutated, "PrescriptionSign", "PrescriptionDocument")
        return tree(original) == tree(mutated)
    except Exception:  # whatever cannot be read is not the same
        return False


def difference(original, mutated):
    """Where two documents differ, for people: the part of each between their common ends."""
    try:
        one, two = (etree.tostring(etree.fromstring(d), encoding="UTF-8") for d in (original, mutated))
    except etree.XMLSyntaxError:
        one, two = original, mutated
    start = next((i for i, (a, b) in enumerate(zip(one, two)) if a != b), min(len(one), len(two)))
    end = next((i for i, (a, b) in enumerate(zip(one[start:][::-1], two[start:][::-1])) if a != b), 0)
    context = one[max(0, start - 40) : start]
    try:
        signing.verify(mutated, "PrescriptionSign", "PrescriptionDocument")
        verdict = "an unsigned part"
    except Exception:  # the document was accepted although this client cannot read or verify it
        verdict = "A SIGNED PART"
    return f"{verdict}, after {context!r}: {one[start : len(one) - end][:80]!r} became {two[start : len(two) - end][:80]!r}"


class Campaign:
    def __init__(self, world, seed, show):
        self.world, self.seed, self.show = world, seed, show
        self.clinic, self.pharmacy = world.clinics[-1], world.pharmacies[-1]
        self.at = len(world.clinics) - 1
        self.patient, self.drug = world.clean_pair(self.at)
        self.bases = [world.prescription(self.at, self.patient, [self.drug]) for _ in range(4)]
        self.bases.append(world.prescription(self.at, self.patient, world.drugs[:6], signing.Odd(pretty=True)))
        _, task = world.registered(self.at, self.patient, [self.drug])
        self.task_id = task["id"]
        self.clinic.cancel(self.task_id)
        self.identity = world.identified(self.pharmacy, self.patient)
        self.number = exchange_number(task)
        self.forged = self.bases[0].replace(b"U0ox", b"U0oy", 1)
        _, held = world.registered(self.at, self.patient, [self.drug])
        accepted = self.pharmacy.accept(exchange_number(held), self.identity)
        self.held_id = held["id"]
        self.delivered = base64.b64decode(accepted.value("document")["data"])
        self.lock = threading.Lock()
        self.statuses, self.kinds, self.failures, self.stored, self.slowest = Counter(), Counter(), [], Counter(), 0.0

    def case(self, number):
        """The kind of case `number` and a function that sends it."""
        rng = random.Random(self.seed * 1_000_003 + number)
        kind = rng.choices(("xml", "resigned", "dispensing", "json", "header", "token", "path"), (35, 12, 5, 18, 10, 12, 8))[0]
        return kind, getattr(self, f"case_{kind}")(rng)

    def case_xml(self, rng):
        base = rng.choice(self.bases)
        mutated = mutate_xml(rng, base)
        if mutated == base:
            mutated = base[:-1]

        def send():
            answer = self.direct(self.clinic, "POST", "/fhir/Task/$register", mutated, {"Content-Type": "application/xml"})
            same = same_but_white_space(base, mutated)
            return answer, same or (None if answer.status != 201 else difference(base, mutated))
        return send

    def case_resigned(self, rng):
        lines = mutate_record(rng, self.world.prescription_lines(self.at, self.patient, [self.drug]))
        document = self.world.signed(self.at, lines)
        return lambda: (self.direct(self.clinic, "POST", "/fhir/Task/$register", document, {"Content-Type": "application/xml"}), True)

    def case_dispensing(self, rng):
        signer = self.world.signer(self.world.pharmacists[-1])
        cj1 = records.cj1_lines(self.pharmacy.persona, self.world.pharmacists[-1], self.clinic.persona, self.world.doctors[self.at],
                                self.patient, self.task_id, [self.drug])  # names another prescription: never to be taken
        if rng.random() < 0.5:
            cj1 = mutate_record(rng, cj1)
        document = signing.dispensing_xml(records.payload(cj1), self.delivered, signer)
        if rng.random() < 0.5:
            document = mutate_xml(rng, document)
        return lambda: (self.direct(self.pharmacy, "POST", f"/fhir/Task/{self.held_id}/$dispense", document, {"Content-Type": "application/xml"}), False)

    def case_json(self, rng):
        insured = parameters(insurerNumber=self.patient["insurer_number"], number=self.patient["number"], birthDate=self.patient["birth_date"])
        actor, path, body = rng.choice((
            (self.pharmacy, "/fhir/Task/$accept", parameters(exchangeNumber=self.number)),
            (self.clinic, f"/fhir/Task/{self.task_id}/$cancel", parameters(reason="誤登録")),
            (self.pharmacy, f"/fhir/Task/{self.task_id}/$return", parameters(reason="都合")),
            (self.clinic, f"/fhir/DetectedIssue/{self.task_id}/$mitigate", parameters(code="1", comment="x")),
            (self.pharmacy, "/fhir/Patient/$verify-identity", insured),
        ))
        mutated = mutate_json(rng, body)
        headers = {"Content-Type": FHIR_JSON, "Identity-Token": self.identity}
        return lambda: (self.direct(actor, "POST", path, mutated, headers), True)

    def case_header(self, rng):
        name = rng.choice(("Content-Type", "Accept", "Authorization", "Identity-Token", "Idempotency-Key", "If-Match", "X-Request-Id", "Traceparent",
                           "Content-Encoding", "Accept-Language", "Host", "Prefer", "If-None-Match", "Range", "Cookie", "X-Forwarded-For"))
        junk = mutate_bytes(rng, rng.choice((b"application/xml", b'W/"1"', b"Bearer abc", b"gzip", b"*/*", b"key")))
        value = re.sub(rb"[\x00-\x1f\x7f]", b"?", junk).strip()[: rng.choice((20, 200, 6000, 20_000))].decode("latin-1")
        method, path, body = rng.choice((("POST", "/fhir/Task/$register", self.forged), ("GET", "/fhir/Task?_count=1", None),
                                         ("POST", f"/fhir/Task/{self.task_id}/$cancel", parameters(reason="x"))))
        headers = {"Content-Type": "application/xml" if body is self.forged else FHIR_JSON} | {name: value}
        return lambda: (self.direct(self.clinic, method, path, body, headers), body is not self.forged)

    def case_token(self, rng):
        token = jwt(self.clinic.credentials, self.clinic.claims(jti=str(rng.getrandbits(64)) + str(time.time_ns())))
        if rng.random() < 0.5:
            head, claims, signature = token.split(".")
            parts = [head, claims, signature]
            which = rng.randrange(3)
            raw = base64.urlsafe_b64decode(parts[which] + "==")
            parts[which] = base64.urlsafe_b64encode(mutate_bytes(rng, raw)).rstrip(b"=").decode()
            mutated = ".".join(parts).encode()
        else:
            mutated = mutate_bytes(rng, token.encode())
        form = self.clinic.assertion_form(mutated.decode("latin-1"))
        if mutated.decode("latin-1") == token:
            form["grant_type"] = "x"
        raw_form = rng.random() < 0.2
        headers = {"Content-Type": "application/x-www-form-urlencoded"}

        def send():
            if raw_form:
                body = mutate_bytes(rng, b"grant_type=client_credentials&client_assertion=" + mutated)
                return self.world.sandbox.send("POST", "/oauth2/token", body, headers), False
            answer = self.world.sandbox.token_request(form)
            # Unused bits of the last Base64 character may differ without changing the signature.
            return answer, mutated.decode("latin-1").rsplit(".", 1)[0] == token.rsplit(".", 1)[0]
        return send

    def case_path(self, rng):
        base = rng.choice(("/fhir/Task/$register", "/fhir/Task/$accept", f"/fhir/Task/{self.task_id}", f"/fhir/Task/{self.task_id}/$document?part=prescription",
                           "/fhir/Task?status=requested&_count=2", "/oauth2/token", "/fhir/metadata", f"/fhir/Task/{self.task_id}/$cancel"))
        text = mutate_bytes(rng, base.encode())
        path = "/" + "".join(chr(b) if 0x21 <= b < 0x7F and b != 0x23 else f"%{b:02X}" for b in text).lstrip("/")[:9000]
        method = rng.choice(("GET", "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"))
        body = rng.choice((None, b"{}", b"<x/>"))
        headers = {"Content-Type": rng.choice((FHIR_JSON, "application/xml"))} if body else {}
        return lambda: (self.direct(self.clinic, method, path, body, headers), True)

    def direct(self, actor, method, path, body, headers):
        sent = {"Authorization": f"Bearer {actor.token()}", "Accept": FHIR_JSON} | headers
        return self.world.sandbox.send(method, path, body, sent)

    def run(self, number):
        kind, send = self.case(number)
        try:
            answer, may_succeed = send()
        except Exception as error:  # a lost connection is a failure of the server
            self.fail(number, kind, f"no answer: {error!r}")
            return
        problem = self.problem(kind, answer, may_succeed)
        if self.show:
            print(f"case {number} ({kind}): {answer.status} {answer.body[:2000].decode('utf-8', 'replace')}")
        with self.lock:
            self.statuses[answer.status] += 1
            self.kinds[f"{kind} {answer.status} {','.join(dict.fromkeys(map(str, answer.codes()))) or answer.resource().get('error', '')}"] += 1
            self.slowest = max(self.slowest, answer.elapsed)
        if answer.status == 201 and answer.resource().get("resourceType") == "Task":
            with self.lock:
                self.stored[kind] += 1
            self.clinic.cancel(answer.resource()["id"])
            if kind == "xml" and may_succeed is True:
                print(f"case {number}: stored, differs in unsigned white space only", flush=True)
        if problem:
            self.fail(number, kind, problem)

    def problem(self, kind, answer, may_succeed):
        if answer.elapsed > SLOWEST_SECONDS:
            return f"took {answer.elapsed:.1f} s"
        if answer.status >= 500 and not (answer.status == 503 and answer.codes() == ["overloaded"]):
            return f"status {answer.brief()}"
        if answer.status < 300:
            if may_succeed is True:
                return None
            return f"stored, though it differs: {may_succeed}" if may_succeed else f"accepted: {answer.brief()}"
        if answer.status < 400:
            return f"status {answer.status}"
        if not answer.body and answer.status in PROTOCOL_STATUSES and kind in ("header", "path"):
            return None
        if kind == "token" or (kind == "path" and "error" in answer.resource()):
            return None if answer.resource().get("error") in OAUTH_ERRORS else f"no OAuth error: {answer.brief()}"
        if answer.resource().get("resourceType") != "OperationOutcome":
            return f"no OperationOutcome: {answer.status} {answer.body[:120]!r}"
        codes = answer.codes()
        return None if codes and set(codes) <= ERROR_CODES else f"codes {codes}"

    def fail(self, number, kind, text):
        with self.lock:
            self.failures.append(number)
            if len(self.failures) <= 50:
                print(f"case {number} ({kind}): FAILED {text}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="send this one case and show the answer")
    options = parser.parse_args()
    world = World(options.directory, options.seed)
    world.prepare()
    world.tidy()
    campaign = Campaign(world, options.seed, options.only is not None)
    before = set(campaign.clinic.task_ids())
    ends = time.monotonic() + options.seconds
    numbers = iter([options.only] if options.only is not None else range(options.count))
    turn = threading.Lock()

    def work():
        while time.monotonic() < ends:
            with turn:
                number = next(numbers, None)
            if number is None:
                return
            campaign.run(number)

    started = time.monotonic()
    workers = [threading.Thread(target=work) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = time.monotonic() - started
    state = campaign.pharmacy.task(campaign.held_id).resource().get("status")
    if state != "in-progress":
        campaign.failures.append(-3)
        print(f"FAILED the held prescription is {state}")
    campaign.pharmacy.give_back(campaign.held_id)
    campaign.clinic.cancel(campaign.held_id)
    new = len(set(campaign.clinic.task_ids()) - before)
    expected = sum(campaign.stored.values())
    if new != expected:
        campaign.failures.append(-1)
        print(f"FAILED {new} prescriptions were stored, {expected} were answered 201")
    if world.sandbox.leaks:
        campaign.failures.append(-2)
        print(f"FAILED personal data in refusals: {sorted(set(world.sandbox.leaks))[:10]}")
    for fault, where in sorted(world.sandbox.judges.faults.items()):
        campaign.failures.append(-4)
        print(f"FAILED {fault} ({where})")
    total = sum(campaign.statuses.values())
    print(f"seed {options.seed}: {total} answers in {took:.0f} s, slowest {campaign.slowest:.2f} s, stored {dict(campaign.stored)}")
    for status, count in sorted(campaign.statuses.items()):
        print(f"  {status}: {count}")
    for kind, count in sorted(campaign.kinds.items()):
        print(f"    {kind.strip()}: {count}")
    print(f"{total - len(campaign.failures)} passed, {len(campaign.failures)} failed")
    return 1 if campaign.failures else 0


if __name__ == "__main__":
    sys.exit(main())
