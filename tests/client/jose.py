"""Prescriptions and dispensing results as FHIR documents in a compact JWS of our own making, and as such unsigned.

The Bundle of a prescription is the project's sample brought into shape for a persona; the Bundle of a dispensing result
and every JWS are built here from docs/formats.md.
"""

import base64
import hashlib
import json
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography.hazmat.primitives import serialization

import records
import signing
from exchange_client import FHIR_JSON, b64url, business_state, exchange_number, pss_sign

JOSE = "application/jose"
SAMPLE = Path(__file__).parents[2] / "fixtures/documents/general.fhir.json"
OURS = "https://hikikae.dev/fhir/StructureDefinition/dispensing-"
DAYS = 7


def headers(identity, **changes):
    """The protected header; None takes a member away."""
    chain = [identity.der] + [c.public_bytes(serialization.Encoding.DER) for c in identity.chain]
    fields = {
        "alg": "PS256", "typ": "JOSE", "cty": FHIR_JSON, "x5c": [base64.b64encode(c).decode() for c in chain],
        "x5t#S256": b64url(hashlib.sha256(identity.der).digest()),
        "sigT": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "crit": ["sigT"],
    } | {name.replace("x5t", "x5t#S256"): value for name, value in changes.items()}
    return {name: value for name, value in fields.items() if value is not None}


def jws(document, identity, **changes):
    header = headers(identity, **changes)
    signed = f"{b64url(json.dumps(header).encode())}.{b64url(document)}"
    sign = pss_sign(identity) if header.get("alg") == "PS256" else lambda data: signing.raw_sign(identity.key, data)
    return f"{signed}.{b64url(sign(signed.encode()))}".encode()


def encoded(bundle):
    return json.dumps(bundle, ensure_ascii=False).encode()


def replaced(value, texts):
    """The same JSON with some texts exchanged for others wherever they are all or the end of a text."""
    if isinstance(value, dict):
        return {k: replaced(v, texts) for k, v in value.items()}
    if isinstance(value, list):
        return [replaced(v, texts) for v in value]
    for old, new in texts.items() if isinstance(value, str) else ():
        if value == old or (len(old) > 9 and old in value):
            return value.replace(old, new)
    return value


def prescription(clinic, doctor, patient, drug):
    """The sample with one of its lines, for a clinic's patient today."""
    today, code = records.today(), clinic["code"]
    bundle = json.loads(SAMPLE.read_text("utf-8"))
    entries, requests, coverages = [], 0, 0
    for entry in bundle["entry"]:
        resource = entry["resource"]
        kind = resource["resourceType"]
        requests += kind == "MedicationRequest"
        coverages += kind == "Coverage"
        extra = kind == "MedicationRequest" and requests > 1 or kind == "Coverage" and coverages > 1
        payer = kind == "Organization" and resource["type"][0]["coding"][0]["code"] == "other"
        if kind != "Communication" and not extra and not payer:
            entries.append(entry)
    kept = {entry["fullUrl"] for entry in entries}
    section = entries[0]["resource"]["section"][0]
    section["entry"] = [e for e in section["entry"] if e["reference"] in kept]
    bundle["entry"] = entries
    names = {e["resource"]["resourceType"]: e["resource"] for e in reversed(entries)}
    bundle = replaced(bundle, {
        "1311234567": code, "2026-11-20": today.isoformat(), "2026-11-23": (today + timedelta(days=3)).isoformat(),
        "urn:uuid:00000000-0000-4000-8000-000000000999": uuid.uuid4().urn,
        names["Organization"]["name"]: clinic["name"], "クレストール錠２．５ｍｇ": drug.name,
        "620002477": drug.receipt, "2189017F1022": drug.yj, "06138762": patient["insurer_number"],
    })
    resources = {}
    for entry in bundle["entry"]:
        resources.setdefault(entry["resource"]["resourceType"], entry["resource"])
    composition, person, practitioner, clinic_resource, coverage = (
        resources[kind] for kind in ("Composition", "Patient", "Practitioner", "Organization", "Coverage")
    )
    composition["identifier"]["value"] = f"{code}-{today.year}-{uuid.uuid4().int % 10**8:08}"
    for extension, value in zip(clinic_resource["extension"], (code[:2], code[2], code[3:])):
        extension["valueIdentifier"]["value"] = value
    named(person, patient["name"], records.half_width(patient.get("kana") or ""))
    named(practitioner, doctor["name"], None)
    person["gender"], person["birthDate"] = patient["sex"], patient["birth_date"]
    coverage["extension"] = insured(patient)
    coverage["type"]["coding"][0]["code"] = records.insurance_kind(patient["insurer_number"])
    if not patient.get("branch_number"):
        coverage.pop("dependent", None)
    else:
        coverage["dependent"] = patient["branch_number"]
    return bundle


def named(resource, name, kana):
    family, _, given = name.replace(" ", "　").partition("　")
    ideographic, *syllables = resource["name"]
    ideographic |= {"text": name, "family": family, "given": [given]}
    for syllable in syllables:
        syllable["text"] = kana
    resource["name"] = [ideographic] + (syllables if kana else [])


def insured(patient):
    core = "http://jpfhir.jp/fhir/core/Extension/StructureDefinition/JP_Coverage_InsuredPerson"
    values = {"Symbol": patient.get("symbol"), "Number": patient["number"], "SubNumber": patient.get("branch_number")}
    return [{"url": core + name, "valueString": value} for name, value in values.items() if value]


def dispensing(pharmacy, pharmacist, clinic, patient, task, drug, delivered):
    """A 調剤結果 of one line; `delivered` is the media type and the bytes of the prescription, or None."""
    now = datetime.now(records.TOKYO)
    today = now.date().isoformat()
    urls = [uuid.uuid4().urn for _ in range(7)]
    composed, person, shop, chemist, coverage, line, binary = urls

    def refer(url):
        return {"reference": url}

    def institution(code):
        return {"system": "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no", "value": code}

    def section(code, url):
        system = "https://hikikae.dev/fhir/CodeSystem/dispensing-section"
        return {"code": {"coding": [{"system": system, "code": code}]}, "entry": [refer(url)]}

    def ideographic(name):
        url = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
        return [{"extension": [{"url": url, "valueCode": "IDE"}], "use": "official", "text": name}]

    origin = [{"url": "name", "valueString": clinic["name"]}, {"url": "code", "valueIdentifier": institution(clinic["code"])}]
    day = {"value": 1, "unit": "日", "system": "http://unitsofmeasure.org", "code": "d"}
    identifiers = [("81", "1"), ("82", "1"), ("11", task)]
    resources = [
        (composed, {
            "resourceType": "Composition", "status": "final", "title": "調剤結果",
            "extension": [{"url": OURS + "prescribing-institution", "extension": origin}],
            "type": {"coding": [{"system": "urn:oid:1.2.392.100495.20.2.11", "code": "02"}]},
            "subject": refer(person), "date": now.isoformat(timespec="seconds"),
            "author": [refer(chemist), refer(shop)], "custodian": refer(shop),
            "event": [{"code": [{"text": "調剤"}], "period": {"start": today}}],
            "section": [section("dispensing", line), section("insurance", coverage)]
            + ([section("prescription", binary)] if delivered else []),
        }),
        (person, {"resourceType": "Patient", "name": ideographic(patient["name"]), "gender": patient["sex"],
                  "birthDate": patient["birth_date"]}),
        (shop, {"resourceType": "Organization", "identifier": [institution(pharmacy["code"])], "name": pharmacy["name"]}),
        (chemist, {"resourceType": "Practitioner", "name": ideographic(pharmacist["name"])}),
        (coverage, {"resourceType": "Coverage", "status": "active", "extension": insured(patient),
                    "beneficiary": refer(person), "payor": [{"identifier": {
                        "system": "http://jpfhir.jp/fhir/core/mhlw/IdSystem/InsurerNumber",
                        "value": patient["insurer_number"]}}]}),
        (line, {
            "resourceType": "MedicationDispense",
            "meta": {"profile": ["http://jpfhir.jp/fhir/core/StructureDefinition/JP_MedicationDispense"]},
            "extension": [{"url": OURS + "form", "valueCoding": {
                "system": "https://hikikae.dev/fhir/CodeSystem/dispensed-form", "code": "1"}}],
            "identifier": [{"system": f"urn:oid:1.2.392.100495.20.3.{n}", "value": v} for n, v in identifiers],
            "status": "completed", "subject": refer(person), "performer": [{"actor": refer(chemist)}],
            "medicationCodeableConcept": {"coding": [{"system": "urn:oid:1.2.392.100495.20.1.71", "code": drug.receipt}],
                                          "text": drug.name},
            "quantity": {"value": DAYS, "unit": drug.unit}, "daysSupply": day | {"value": DAYS}, "whenHandedOver": today,
            "dosageInstruction": [{
                "text": records.ONCE_AFTER_BREAKFAST[1],
                "timing": {"code": {"coding": [{"system": "urn:oid:1.2.392.200250.2.2.20.20",
                                                "code": records.ONCE_AFTER_BREAKFAST[0]}]}},
                "doseAndRate": [{"rateRatio": {"numerator": {"value": 1, "unit": drug.unit}, "denominator": day}}],
            }],
        }),
    ]
    if delivered:
        data = base64.b64encode(delivered[1]).decode()
        resources.append((binary, {"resourceType": "Binary", "contentType": delivered[0], "data": data}))
    return {
        "resourceType": "Bundle", "identifier": {"system": "urn:ietf:rfc:3986", "value": uuid.uuid4().urn},
        "type": "document", "timestamp": now.isoformat(timespec="milliseconds"),
        "entry": [{"fullUrl": url, "resource": resource} for url, resource in resources],
    }


def jose(world):
    clinic, pharmacy = world.clinics[0], world.pharmacies[0]
    doctor, pharmacist = world.doctors[0], world.pharmacists[0]
    physician, chemist = world.signer(doctor), world.signer(pharmacist)
    patient, drug = world.clean_pair(0)
    while drug.unit != "錠":
        patient, drug = world.clean_pair(0)

    def bundle():
        return encoded(prescription(clinic.persona, doctor, patient, drug))

    hostile(world, clinic, bundle(), physician, chemist)
    original = jws(bundle(), physician)
    registered = world.remember(0, clinic.register(original, JOSE))
    if not world.check("a FHIR prescription is registered", registered.status == 201,
                       f"{registered.brief()} {registered.expressions()[:6]}"):
        return
    task, number = registered.resource()["id"], exchange_number(registered.resource())
    kept = clinic.document(task)
    world.check("the original, as JOSE", kept.body == original and kept.headers.get("content-type") == JOSE, kept.brief())
    accepted = pharmacy.accept(number, world.identified(pharmacy, patient))
    given = accepted.value("document") or {}
    delivered = base64.b64decode(given.get("data", ""))
    world.check("delivered byte for byte", delivered == original and given.get("contentType") == JOSE, accepted.brief())

    def result(inside):
        return encoded(dispensing(pharmacy.persona, pharmacist, clinic.persona, patient, task, drug, inside))

    def refused(name, document, content_type, status, *codes):
        world.refused(name, pharmacy.dispense(task, document, content_type), status, *codes)

    refused("an unsigned result of a signed prescription", result(None), FHIR_JSON, 422, "document-mismatch")
    refused("a result without the prescription", jws(result(None), chemist), JOSE, 422, "document-invalid")
    other = jws(bundle(), physician)
    refused("a result over another prescription", jws(result((JOSE, other)), chemist), JOSE, 422, "document-mismatch")
    signed = result((JOSE, delivered))
    refused("a result signed by the physician", jws(signed, physician), JOSE, 422, "signer-role")
    refused("a result with alg none", jws(signed, chemist, alg="none"), JOSE, 422, "document-invalid")
    answer, _ = pharmacy._resolving(lambda: pharmacy.dispense(task, jws(signed, chemist), JOSE))
    done = answer.status in (200, 201)
    world.check("a FHIR result is dispensed", done, f"{answer.brief()} {answer.expressions()[:6]}")
    world.check("dispensed", business_state(pharmacy.task(task).resource()) == "dispensed", pharmacy.task(task).brief())
    on_paper(world, bundle(), patient, drug)


def on_paper(world, document, patient, drug):
    """The same Bundle without signature is the copy of a paper prescription."""
    clinic, pharmacy, pharmacist = world.clinics[0], world.pharmacies[0], world.pharmacists[0]
    answer, _ = clinic._resolving(lambda: clinic.register(document, FHIR_JSON))
    world.remember(0, answer)
    kinds = [e.get("valueCode") for e in answer.resource().get("extension") or [] if e["url"].endswith("/issue-kind")]
    world.check("an unsigned Bundle is paper", answer.status == 201 and kinds == ["paper"], f"{answer.brief()} {kinds}")
    task, number = answer.resource()["id"], exchange_number(answer.resource())
    accepted = pharmacy.accept(number, world.identified(pharmacy, patient))
    given = accepted.value("document") or {}
    world.check("delivered unsigned", base64.b64decode(given.get("data", "")) == document, accepted.brief())
    result = encoded(dispensing(pharmacy.persona, pharmacist, clinic.persona, patient, task, drug, None))
    signed = pharmacy.dispense(task, jws(result, world.signer(pharmacist)), JOSE)
    world.refused("a signed result of a paper prescription", signed, 422, "document-mismatch")
    answer, _ = pharmacy._resolving(lambda: pharmacy.dispense(task, result, FHIR_JSON))
    world.check("an unsigned result of it", answer.status == 200, f"{answer.brief()} {answer.expressions()[:6]}")


def hostile(world, clinic, document, physician, chemist):
    good = jws(document, physician).decode()
    header, payload, signature = good.split(".")
    general = {"protected": header, "signature": signature}

    def refused(name, body, *codes):
        body = body if isinstance(body, bytes) else body.encode()
        world.refused(name, clinic.register(body, JOSE), 422, *codes)

    def unsigned(**changes):
        return f"{b64url(json.dumps(headers(physician, **changes)).encode())}.{payload}."

    form = "document-invalid"
    refused("alg none, no signature", unsigned(alg="none"), form)
    for name, changes in {
        "alg none": {"alg": "none"}, "alg HS256": {"alg": "HS256"}, "alg RS384": {"alg": "RS384"}, "no alg": {"alg": None},
        "crit unknown": {"crit": ["exp"], "exp": 1}, "crit of what is not there": {"crit": ["sigT", "b64"]},
        "crit empty": {"crit": []}, "b64 false": {"b64": False, "crit": ["b64"]}, "x5c missing": {"x5c": None},
        "x5c empty": {"x5c": []}, "x5c of something else": {"x5c": ["AAAA"]}, "x5t#S256 missing": {"x5t": None},
        "sigT missing": {"sigT": None}, "sigT with an offset": {"sigT": "2026-04-01T09:00:00+09:00"},
        "cty missing": {"cty": None}, "cty of XML": {"cty": "application/xml"}, "typ JWT": {"typ": "JWT"},
        "jku": {"jku": "https://elsewhere.example/keys"}, "jwk": {"jwk": {"kty": "RSA"}}, "a member unknown": {"note": "1"},
    }.items():
        refused(name, jws(document, physician, **changes), form)
    wrong = b64url(hashlib.sha256(chemist.der).digest())
    refused("x5t#S256 of another certificate", jws(document, physician, x5t=wrong), "signature-invalid")
    refused("alg of another kind of key", jws(document, physician, alg="ES256"), "signature-invalid")
    refused("a pharmacist's prescription", jws(document, chemist), "signer-role")
    refused("detached payload", f"{header}..{signature}", form)
    refused("padding", f"{header}.{payload}{'=' * (-len(payload) % 4) or '='}.{signature}", form)
    refused("white space", f"{header}.{payload}\n.{signature}", form)
    refused("two parts", f"{header}.{payload}", form)
    refused("five parts", f"{good}.AAAA.AAAA", form)
    refused("JSON serialization, flattened", json.dumps({"payload": payload} | general), form)
    refused("JSON serialization, two signatures", json.dumps({"payload": payload, "signatures": [general, general]}), form)
    doubled = b'{"alg":"none",' + json.dumps(headers(physician)).encode()[1:]
    refused("alg twice", f"{b64url(doubled)}.{payload}.{signature}", form)
    changed = b64url(document.replace("処方箋".encode(), "処方せん".encode(), 1))
    refused("another payload", f"{header}.{changed}.{signature}", "signature-invalid")
    flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
    refused("another signature", f"{header}.{payload}.{flipped}", "signature-invalid")
    refused("XML said to be JOSE", b"<Document/>", form)
