"""The life of a prescription: registered, accepted, returned, dispensed, cancelled; the checker; foreign hands."""

import base64
import re
import uuid
from datetime import datetime, timedelta

import records
import signing
from exchange_client import LEASE_END, business_state, exchange_number, parameters

UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")


def lease_end(task):
    """The lease's end as a time, or None."""
    stated = [e.get("valueDateTime") or e.get("valueInstant") for e in task.get("extension") or [] if e["url"] == LEASE_END]
    return datetime.fromisoformat(stated[0].replace("Z", "+00:00")) if stated and stated[0] else None


def japanese_dates(text):
    """The Japanese dates a FHIR dateTime may mean: for midnight also the day that ends there."""
    if len(text) <= 10:
        return [text]
    moment = datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(records.TOKYO)
    return [moment.date().isoformat(), (moment - timedelta(seconds=1)).date().isoformat()]


def in_state(world, name, answer, status, state, http=200):
    task = answer.resource()
    holds = answer.status == http and task.get("status") == status and business_state(task) == state
    return world.check(name, holds, f"{answer.brief() if answer.status != http else (task.get('status'), business_state(task))}")


def task_shape(world, answer, clinic, issued):
    task = answer.resource()
    world.check("id is a UUID", UUID.match(task.get("id", "")), task.get("id"))
    world.check("resource is a Task with intent", task.get("resourceType") == "Task" and task.get("intent"), task.get("intent"))
    in_state(world, "state issued", answer, "requested", "issued", 201)
    systems = {i.get("system"): i.get("value") for i in task.get("identifier") or []}
    world.check("identifier: prescription id", systems.get("urn:ietf:rfc:3986") == f"urn:uuid:{task['id']}", list(systems))
    world.check("identifier: exchange number of 6 digits", re.match(r"^\d{6}$", exchange_number(task) or ""), list(systems))
    period = (task.get("restriction") or {}).get("period") or {}
    last = (issued + timedelta(days=3)).isoformat()
    world.check("validity starts on the issue date", japanese_dates(period.get("start", ""))[0] == issued.isoformat(), period)
    world.check("validity is four days counting the issue date", last in japanese_dates(period.get("end", "")), period)
    world.check("requester is the clinic", clinic.code in str(task.get("requester")), task.get("requester"))
    world.check("ETag", re.match(r'^W/".+"$', answer.etag or ""), answer.etag)
    location = answer.headers.get("location", "")
    world.check("Location names the Task", f"/fhir/Task/{task['id']}" in location, location)
    world.check("media type", answer.headers.get("content-type", "").startswith("application/fhir+json"), answer.headers.get("content-type"))


def delivered_form(world, original, delivered, task_id, drugs):
    """The original with the service's additions spliced in, and nothing else touched."""
    root = signing.parse(delivered)
    try:
        signing.verify(delivered, "PrescriptionSign", "PrescriptionDocument")
        world.check("clinic's signature verifies in the delivered form", True)
    except (signing.BadSignature, ValueError) as error:
        world.check("clinic's signature verifies in the delivered form", False, error)
    stated = [e.get("Value") for e in root.iter("PrescriptionId")]
    world.check("PrescriptionId is spliced", stated == [task_id], stated)
    by_receipt = [e.text.split(",") for e in root.iter("ConversionREcode")]
    by_yj = [e.text.split(",") for e in root.iter("ConversionYJcode")]
    world.check("receipt code of every drug line", [x[5] for x in by_receipt] == [d.receipt for d in drugs], by_receipt)
    # Kind 3 (price code) stands in where a product listed under a common name has no YJ code of its own.
    world.check("YJ code of every drug line", all(x[4] in ("3", "4") for x in by_yj)
                and [x[5][:9] for x in by_yj] == [d.yj[:9] for d in drugs], by_yj)
    for part in (rb"<PrescriptionDocument.*?</PrescriptionDocument>", rb"<ds:SignedInfo.*?</ds:SignedInfo>",
                 rb"<ds:SignatureValue.*?</ds:SignatureValue>", rb"<ds:KeyInfo.*?</ds:KeyInfo>",
                 rb"<xades:SignedProperties.*?</xades:SignedProperties>"):
        text = re.search(part, original, re.S)[0]
        world.check(f"{re.match(rb'<([A-Za-z:]+)', text)[1].decode()} untouched byte for byte", delivered.count(text) == 1,
                    f"found {delivered.count(text)} times")
    stripped = re.sub(rb"<PrescriptionId [^>]*?/>|<PrescriptionId [^>]*></PrescriptionId>", b"", delivered)
    stripped = re.sub(rb"<AdditionalPrescriptionInformation.*?</AdditionalPrescriptionInformation>", b"", stripped, flags=re.S)
    stripped = re.sub(rb"<(?:\w+:)?UnsignedProperties.*?</(?:\w+:)?UnsignedProperties>", b"", stripped, flags=re.S)
    world.check("without the additions it is the original", stripped == original, f"{len(stripped)} and {len(original)} bytes")


def registration(world, clinic, patient, drugs):
    """Registers under an Idempotency-Key and repeats it in every way. Returns the document and the Task."""
    actor, other = world.clinics[0], world.clinics[1]
    key = str(uuid.uuid4())
    document = world.prescription(0, patient, drugs)
    answer = actor.register(document, key=key)
    if "medication-check-unresolved" in answer.codes():
        for finding in answer.findings():
            actor.mitigate(finding["id"].lstrip("#"))
        key = str(uuid.uuid4())
        answer = actor.register(document, key=key)
    world.remember(0, answer)
    if not world.check("$register", answer.status == 201, f"{answer.brief()} {answer.expressions()[:3]}"):
        return None, None
    task_shape(world, answer, actor, records.today())
    again = actor.register(document, key=key)
    world.check("same key, same body: the same answer", again.status == 201 and again.body == answer.body, again.brief())
    world.check("replay is marked", again.headers.get("idempotent-replay") == "true", again.headers.get("idempotent-replay"))
    world.check("first answer is not marked", "idempotent-replay" not in answer.headers)
    world.refused("same key, other body", actor.register(world.prescription(0, patient, drugs), key=key), 422, "idempotency-key-reused")
    world.refused("same document without the key", actor.register(document), 409, "duplicate-document")
    world.refused("same document under another key", actor.register(document, key=str(uuid.uuid4())), 409, "duplicate-document")
    world.refused("key of 129 characters", actor.register(world.prescription(0, patient, drugs), key="k" * 129), 400, "malformed")
    theirs = other.register(world.prescription(1, patient, drugs), key=key)
    world.remember(1, theirs)
    world.check("another clinic's equal key is its own", theirs.resource().get("id") != answer.resource()["id"]
                and "idempotency-key-reused" not in theirs.codes(), theirs.brief())
    if theirs.status == 201:
        other.cancel(theirs.resource()["id"])
    return document, answer.resource()


def whole_life(world):
    clinic, pharmacy, other = world.clinics[0], world.pharmacies[0], world.pharmacies[1]
    drugs = world.drugs[:2]
    patient = world.patients[0]
    document, task = registration(world, clinic, patient, drugs)
    if task is None:
        return
    task_id, number = task["id"], exchange_number(task)

    verified = pharmacy.verify_identity(patient)
    world.check("$verify-identity", verified.status == 200 and verified.value("method") == "insurance", verified.brief())
    world.check("identity answer is complete", all(verified.parameter(n) for n in ("identityToken", "expiresAt", "patient", "coverage")),
                [p.get("name") for p in verified.resource().get("parameter") or []])
    identity = verified.value("identityToken")
    accepted = pharmacy.accept(number, identity)
    if not world.check("$accept", accepted.status == 200, accepted.brief()):
        return
    missing = [n for n in ("task", "document", "verification", "findings") if accepted.parameter(n) is None]
    world.check("accept answer is complete", not missing, f"missing {missing}")
    held = accepted.value("task")
    world.check("accepted state", held["status"] == "in-progress" and business_state(held) == "accepted", held.get("businessStatus"))
    world.check("owner is the pharmacy", pharmacy.code in str(held.get("owner")), held.get("owner"))
    world.check("exchange number is hidden from the pharmacy", exchange_number(held) is None)
    lease = lease_end(held)
    world.check("lease end in the future", lease and lease > datetime.now(records.TOKYO), lease)
    binary = accepted.value("document")
    world.check("delivered media type", binary.get("contentType") == "application/xml", binary.get("contentType"))
    delivered = base64.b64decode(binary["data"])
    delivered_form(world, document, delivered, task_id, drugs)
    again = pharmacy.accept(number, identity)
    world.check("repeated by the holder: the same answer", again.status == 200 and again.body == accepted.body,
                f"{again.status}, task equal {again.value('task') == held}, document equal {again.value('document') == binary}, "
                f"verification equal {again.value('verification') == accepted.value('verification')}")
    elsewhere = world.identified(other, patient)
    world.refused("another pharmacy", other.accept(number, elsewhere), 409, "held-by-pharmacy")
    world.refused("clinic's cancellation", clinic.cancel(task_id), 409, "held-by-pharmacy")
    renewed = pharmacy.renew(task_id)
    in_state(world, "$renew", renewed, "in-progress", "accepted")
    later = lease_end(renewed.resource())
    world.check("lease end does not move back", lease and later and later >= lease, (lease, later))
    returned = pharmacy.give_back(task_id)
    in_state(world, "$return", returned, "requested", "issued")
    in_state(world, "clinic sees it issued", clinic.task(task_id), "requested", "issued")

    accepted = other.accept(number, elsewhere)
    if not world.check("accepted elsewhere", accepted.status == 200, accepted.brief()):
        return
    delivered = base64.b64decode(accepted.value("document")["data"])
    world.refused("the former holder dispenses", pharmacy.dispense(task_id, world.dispensing(0, 0, patient, task_id, delivered, drugs)),
                  (403, 404, 409), "held-by-pharmacy", "not-found", "not-permitted")
    dispensing = world.dispensing(1, 0, patient, task_id, delivered, drugs)
    done, found = other.dispense_resolving(task_id, dispensing)
    if found:
        world.tally.note(f"{found} findings mitigated at dispensing")
    if not in_state(world, "$dispense", done, "completed", "dispensed"):
        world.tally.note(f"{done.brief()} {done.expressions()[:5]}")
        return
    second = world.dispensing(1, 0, patient, task_id, delivered, drugs)
    world.refused("dispensed again", other.dispense(task_id, second), 409, "already-dispensed")
    world.refused("same dispensing again without a key", other.dispense(task_id, dispensing), 409, "already-dispensed", "duplicate-document")
    world.refused("returned after dispensing", other.give_back(task_id), 409, "already-dispensed")
    world.refused("cancelled after dispensing", clinic.cancel(task_id), 409, "already-dispensed")
    world.refused("accepted after dispensing", pharmacy.accept(number, world.identified(pharmacy, patient)), (409, 422),
                  "already-dispensed", "exchange-number-unknown")
    for who, actor in (("clinic", clinic), ("pharmacy", other)):
        for part, sent in (("prescription", document), ("dispensing", dispensing)):
            got = actor.document(task_id, part)
            world.check(f"$document {part} for the {who} is what was sent", got.status == 200 and got.body == sent,
                        got.brief() if got.status != 200 else f"{len(got.body)} and {len(sent)} bytes")
            world.check(f"$document {part} media type", got.headers.get("content-type", "").startswith("application/xml"), got.headers.get("content-type"))
    world.refused("$document for a stranger", world.pharmacies[2].document(task_id, "prescription"), 404, "not-found")
    world.refused("Task for a stranger", world.clinics[1].task(task_id), 404, "not-found")


def cancellation(world):
    clinic, pharmacy = world.clinics[0], world.pharmacies[0]
    patient, drug = world.clean_pair(0)
    document, task = world.registered(0, patient, [drug])
    world.refused("stale If-Match", clinic.cancel(task["id"], if_match='W/"999999"'), 412, "version-mismatch")
    world.refused("another clinic", world.clinics[1].cancel(task["id"]), 404, "not-found")
    world.refused("without a reason", clinic.operate(f"/fhir/Task/{task['id']}/$cancel", parameters()), 400, "malformed")
    key, current = str(uuid.uuid4()), clinic.task(task["id"]).etag
    world.check("GET carries an ETag", current, current)
    cancelled = clinic.cancel(task["id"], if_match=current, key=key)
    in_state(world, "$cancel", cancelled, "cancelled", "cancelled")
    again = clinic.cancel(task["id"], if_match=current, key=key)
    world.check("repeated with its key", again.status == 200 and again.body == cancelled.body
                and again.headers.get("idempotent-replay") == "true", again.brief())
    world.refused("cancelled twice", clinic.cancel(task["id"]), 409, "cancelled")
    world.refused("accepted after cancellation", pharmacy.accept(exchange_number(task), world.identified(pharmacy, patient)),
                  (409, 422), "cancelled", "exchange-number-unknown")
    ids = clinic.task_ids("&status=cancelled")
    world.check("search by status finds it", task["id"] in ids, f"{len(ids)} found")
    found = clinic.task_ids(f"&identifier=urn:ietf:rfc:3986%7Curn:uuid:{task['id']}")
    world.check("search by identifier finds it alone", found == [task["id"]], found)


def checker(world):
    first, second = world.clinics[0], world.clinics[1]
    patient, drug = world.clean_pair(0)
    _, task = world.registered(0, patient, [drug])
    document = world.prescription(1, patient, [drug])
    answer = second.register(document)
    if not world.refused("same ingredient from another clinic", answer, 409, "medication-check-unresolved"):
        world.remember(1, answer)
        return
    findings = answer.findings()
    world.check("findings are contained", findings and all(f.get("id") for f in findings), answer.brief())
    world.refused("same document before mitigation", second.register(document), 409, "medication-check-unresolved")
    issue = findings[0]["id"].lstrip("#")
    world.refused("mitigation without a code", second.mitigate(issue, code=None), 400, "malformed")
    world.refused("mitigation with a code of no meaning", second.mitigate(issue, code="no-such-code"), (400, 422))
    world.refused("mitigation with 301 characters", second.mitigate(issue, comment="あ" * 301), (400, 422))
    world.refused("another clinic's mitigation", world.clinics[2].mitigate(issue), 404, "not-found")
    mitigated = second.mitigate(issue)
    world.check("$mitigate", mitigated.status == 200 and mitigated.resource().get("mitigation"), mitigated.brief())
    answer, more = second.register_resolving(document)
    world.remember(1, answer)
    world.check("registered after mitigation", answer.status == 201, answer.brief())
    if answer.status != 201:
        return
    pharmacy = world.pharmacies[0]
    accepted = pharmacy.accept(exchange_number(answer.resource()), world.identified(pharmacy, patient))
    if world.check("accepted with the finding", accepted.status == 200, accepted.brief()):
        world.tally.note(f"findings at acceptance: {str(accepted.value('findings'))[:120]}")
        delivered = base64.b64decode(accepted.value("document")["data"])
        dispensing = world.dispensing(0, 1, patient, answer.resource()["id"], delivered, [drug])
        done, found = pharmacy.dispense_resolving(answer.resource()["id"], dispensing)
        in_state(world, f"dispensed ({found} findings mitigated)", done, "completed", "dispensed")


def foreign_hands(world):
    clinic, pharmacy, other = world.clinics[0], world.pharmacies[0], world.pharmacies[1]
    patient, drug = world.clean_pair(0)
    extra = next(d for d in world.drugs if d != drug)
    document, task = world.registered(0, patient, [drug])
    _, task2 = world.registered(0, patient, [extra])
    identity = world.identified(pharmacy, patient)
    kept = {}
    for t in (task, task2):
        accepted = pharmacy.accept(exchange_number(t), identity)
        if not world.check("accepted", accepted.status == 200, accepted.brief()):
            return
        kept[t["id"]] = base64.b64decode(accepted.value("document")["data"])
    mine, theirs = kept[task["id"]], kept[task2["id"]]
    make = world.dispensing
    send = lambda name, doc, statuses, *codes: world.refused(name, pharmacy.dispense(task["id"], doc), statuses, *codes)  # noqa: E731
    send("another prescription embedded", make(0, 0, patient, task["id"], theirs, [drug]), 422, "document-mismatch")
    send("another prescription's id in record 7", make(0, 0, patient, task["id"], mine, [drug], stated_id=task2["id"]), 422, "document-mismatch", "document-invalid")
    stranger = next(p for p in world.patients if p is not patient)
    send("another patient in the dispensing", make(0, 0, stranger, task["id"], mine, [drug]), 422, "document-mismatch")
    forged = world.prescription(0, patient, [drug])
    send("a prescription never registered embedded", make(0, 0, patient, task["id"], forged, [drug]), 422, "document-mismatch")
    send("no prescription embedded", make(0, 0, patient, task["id"], None, [drug]), 422, "document-mismatch", "document-invalid")
    changed = mine.replace(drug.receipt.encode(), b"620000000")
    if changed != mine:
        answer = pharmacy.dispense(task["id"], make(0, 0, patient, task["id"], changed, [drug]))
        world.tally.note(f"embedded unsigned conversion codes changed: {answer.brief()}")
        if answer.status == 200:
            return
    lines = world.prescription_lines(0, patient, [drug])
    resigned = world.signed(0, lines, by=world.signer(world.pharmacists[0]))
    send("a prescription signed by the pharmacist embedded", make(0, 0, patient, task["id"], resigned, [drug]), 422, "document-mismatch", "signer-role")
    doctor = world.signer(world.doctors[0])
    send("physician signs the dispensing", make(0, 0, patient, task["id"], mine, [drug], by=doctor), 422, "signer-role")
    good = make(0, 0, patient, task["id"], mine, [drug])
    send("flipped character in the embedded signature", flip_in(good, b"PrescriptionSign", b"ds:SignatureValue"), 422, "signature-mismatch", "signature-invalid", "document-mismatch")
    send("flipped character in the dispensing signature", flip_in(good, b"DispensingSign", b"ds:SignatureValue"), 422, "signature-invalid")
    send("a prescription instead", document, 422, "document-invalid", "document-mismatch", "signer-role")
    world.refused("another pharmacy dispenses", other.dispense(task["id"], make(1, 0, patient, task["id"], mine, [drug])),
                  (404, 409), "not-found", "held-by-pharmacy")
    world.refused("another pharmacy's document from the holder", pharmacy.dispense(task["id"], make(1, 0, patient, task["id"], mine, [drug])), 422, "document-mismatch")
    world.refused("another pharmacy returns", other.give_back(task["id"]), (404, 409), "not-found", "held-by-pharmacy")
    world.refused("another pharmacy renews", other.renew(task["id"]), (404, 409), "not-found", "held-by-pharmacy")
    world.refused("another pharmacy reads", other.task(task["id"]), 404, "not-found")
    world.refused("clinic accepts", clinic.accept(exchange_number(task), world.identified(clinic, patient)), 403, "not-permitted")
    world.refused("pharmacy registers", pharmacy.register(forged), 403, "not-permitted")
    world.refused("pharmacy cancels", pharmacy.cancel(task["id"]), (403, 404), "not-permitted", "not-found")
    world.refused("clinic dispenses", clinic.dispense(task["id"], good), (403, 404), "not-permitted", "not-found")
    in_state(world, "still held after all this", pharmacy.task(task["id"]), "in-progress", "accepted")
    for t in (task, task2):
        in_state(world, "returned", pharmacy.give_back(t["id"]), "requested", "issued")


def flip_in(document, after, element):
    """Changes one character in the middle of the text of the first `element` after the mark, keeping it Base64."""
    start = document.index(b"<" + element, document.rindex(b"<" + after))
    start = document.index(b">", start) + 1
    middle = (start + document.index(b"<", start)) // 2
    new = b"A" if document[middle : middle + 1] != b"A" else b"B"
    return document[:middle] + new + document[middle + 1 :]
