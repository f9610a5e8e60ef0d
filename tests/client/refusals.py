"""What must be refused: tokens, identities, forged and broken documents, malformed requests."""

import base64
import hashlib
import hmac
import re
import time
import uuid
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import signing
from exchange_client import JWT_BEARER, exchange_number, jwt, parameters, pss_sign
from life import flip_in
from signing import Identity, Odd

OAUTH_ERRORS = ("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope")


def tokens(world):
    clinic, other = world.clinics[0], world.clinics[1]
    creds = clinic.credentials
    good = clinic.ask_token()
    body = good.resource()
    world.check("a good assertion", good.status == 200 and body.get("access_token") and body.get("expires_in"), good.brief())
    world.check("token_type bearer", str(body.get("token_type")).lower() == "bearer", body.get("token_type"))
    world.check("actor", set(body.get("actor") or {}) >= {"kind", "id", "name"}, body.get("actor"))
    world.check("not to be cached", "no-store" in good.headers.get("cache-control", ""), good.headers.get("cache-control"))
    base = clinic.ask_token(jwt(creds, clinic.claims(aud=world.sandbox.base_url)))
    world.check("aud = base URL", base.status == 200, base.brief())
    if isinstance(creds.key, rsa.RSAPrivateKey):
        pss = clinic.ask_token(jwt(creds, clinic.claims(), {"alg": "PS256"}, pss_sign(creds)))
        world.check("PS256", pss.status == 200, pss.brief())

    def refused(name, answer, *errors):
        error = answer.resource().get("error")
        holds = answer.status in (400, 401) and error in (errors or OAUTH_ERRORS)
        world.check(name, holds, f"{answer.status} {error} {answer.body[:120]!r}")

    now = int(time.time())
    client = ("invalid_client", "invalid_grant")
    used = jwt(creds, clinic.claims())
    clinic.ask_token(used)
    refused("jti used twice", clinic.ask_token(used), *client)
    jti = str(uuid.uuid4())
    clinic.ask_token(jwt(creds, clinic.claims(jti=jti)))
    refused("jti used twice in another assertion", clinic.ask_token(jwt(creds, clinic.claims(jti=jti, exp=now + 200))), *client)
    for name, changes in {
        "wrong aud": {"aud": "https://elsewhere.example/token"}, "no aud": {"aud": None}, "expired": {"iat": now - 900, "exp": now - 600},
        "exp in an hour": {"exp": now + 3600}, "no exp": {"exp": None}, "no jti": {"jti": None}, "empty jti": {"jti": ""},
        "issued tomorrow": {"iat": now + 86400, "exp": now + 86600}, "sub is not iss": {"sub": other.code}, "no iss": {"iss": None},
        "exp is a string": {"exp": "tomorrow"}, "exp beyond all bounds": {"exp": 1e300}, "jti is a list": {"jti": ["a"]},
        "another facility's iss and sub": {"iss": other.code, "sub": other.code},
    }.items():
        refused(name, clinic.ask_token(jwt(creds, clinic.claims(**changes))), *client, "invalid_request")
    public = creds.cert.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    chain = [base64.b64encode(c.public_bytes(serialization.Encoding.DER)).decode() for c in other.credentials.chain]
    their_x5c = [base64.b64encode(other.credentials.der).decode(), *chain]
    for name, header, sign in (
        ("alg none", {"alg": "none"}, lambda _: b""),
        ("alg None, signed", {"alg": "None"}, None),
        ("alg HS256 keyed with the public key", {"alg": "HS256"}, lambda data: hmac.new(public, data, hashlib.sha256).digest()),
        ("alg HS256 keyed with the certificate", {"alg": "HS256"}, lambda data: hmac.new(creds.der, data, hashlib.sha256).digest()),
        ("x5c of another facility", {"x5c": their_x5c}, None),
        ("no x5c", {"x5c": None}, None),
        ("empty x5c", {"x5c": []}, None),
        ("x5c is not Base64", {"x5c": ["%%%"]}, None),
        ("x5c is not a certificate", {"x5c": [base64.b64encode(b"0" * 64).decode()]}, None),
        ("x5c is a number", {"x5c": 7}, None),
        ("unknown crit", {"crit": ["x"], "x": True}, None),
        ("empty signature", {}, lambda _: b""),
        ("own jwk in the header", {"x5c": None, "jwk": {"kty": "oct", "k": "AA"}}, lambda data: hmac.new(b"\0", data, hashlib.sha256).digest()),
    ):
        refused(name, clinic.ask_token(jwt(creds, clinic.claims(), header, sign)), *client, "invalid_request")
    leaf = base64.b64encode(creds.der).decode()
    world.tally.note(f"x5c of twenty times the leaf: {clinic.ask_token(jwt(creds, clinic.claims(), {'x5c': [leaf] * 20})).status}")
    stolen = self_made(creds)
    refused("self-made certificate with the right names", clinic.ask_token(jwt(stolen, clinic.claims())), *client)
    for name, text in (("garbage", "garbage"), ("three dots", "..."), ("empty", ""), ("NUL and more", "\0\ufffd.a.b"), ("long", "a" * 20000 + ".b.c")):
        refused(f"assertion: {name}", clinic.ask_token(text or " "), *client, "invalid_request")
    form = clinic.assertion_form(jwt(creds, clinic.claims()))
    refused("password grant", world.sandbox.token_request(form | {"grant_type": "password"}), "unsupported_grant_type", "invalid_request")
    refused("no grant_type", world.sandbox.token_request({k: v for k, v in form.items() if k != "grant_type"}), "invalid_request", "unsupported_grant_type")
    refused("other assertion type", world.sandbox.token_request(form | {"client_assertion_type": "x"}), "invalid_request", *client)
    refused("empty form", world.sandbox.token_request({}), "invalid_request", "unsupported_grant_type")
    twice = f"grant_type=client_credentials&grant_type=client_credentials&client_assertion_type={JWT_BEARER}&client_assertion=x"
    refused("a field twice", world.sandbox.send("POST", "/oauth2/token", twice.encode(), {"Content-Type": "application/x-www-form-urlencoded"}), *client, "invalid_request")

    def bearer(name, headers, code):
        answer = world.sandbox.send("GET", "/fhir/Task?_count=1", None, headers)
        world.refused(name, answer, 401, code)
    bearer("no Authorization", {}, "token-missing")
    bearer("garbage token", {"Authorization": "Bearer garbage"}, "token-invalid")
    bearer("the assertion as a token", {"Authorization": f"Bearer {used}"}, "token-invalid")
    bearer("token with its last character changed", {"Authorization": f"Bearer {clinic.token()[:-1]}{'A' if clinic.token()[-1] != 'A' else 'B'}"}, "token-invalid")
    answer = world.sandbox.send("GET", "/fhir/Task?_count=1", None, {"Authorization": "Basic YTpi"})
    world.refused("Basic", answer, 401, "token-missing", "token-invalid")


def self_made(model, **validity):
    """An identity under an own issuer whose names and extensions copy the model's."""
    issuer_key, key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    builder = (
        x509.CertificateBuilder().subject_name(model.cert.subject).issuer_name(model.cert.issuer)
        .public_key(key.public_key()).serial_number(model.cert.serial_number)
        .not_valid_before(datetime.now() - timedelta(days=30)).not_valid_after(datetime.now() + timedelta(days=300))
    )
    for extension in model.cert.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return Identity(builder.sign(issuer_key, hashes.SHA256()), key, model.chain)


def identities(world):
    facility = world.clinics[2] if len(world.clinics) > 2 else world.clinics[-1]
    patient = world.patients[0]
    last = lambda text: text[:-1] + str((int(text[-1]) + 1) % 10) if text[-1].isdigit() else text + "1"  # noqa: E731
    wrong = {
        "wrong number": {"number": last(patient["number"])},
        "wrong birth date": {"birthDate": "1931-02-03"},
        "unknown insurer": {"insurerNumber": "06999999"},
        "wrong branch number": {"branchNumber": "97"},
    }
    bodies = {}
    for name, changes in wrong.items():
        answer = facility.verify_identity(patient, **changes)
        world.refused_or_limited(name, answer, 422, "identity-not-verified")
        if answer.status != 429:
            bodies[name] = answer.body
    for other, answer in world.unverified:
        if answer.status != 429:
            world.refused("a persona that does not verify", answer, 422, "identity-not-verified")
            bodies[f"persona {other.get('note', '')}"] = answer.body
    world.check("every mismatch answers the same, byte for byte", len(set(bodies.values())) <= 1, bodies)
    world.refused("malformed: no birth date", facility.operate("/fhir/Patient/$verify-identity", parameters(number="1")), 400, "malformed")

    patient, drug = world.clean_pair(0)
    stranger = next(p for p in world.patients if p is not patient)
    first, second = world.pharmacies[0], world.pharmacies[2]
    _, task = world.registered(0, patient, [drug])
    number = exchange_number(task)
    identity = world.identified(first, patient)
    world.refused_or_limited("identity token of another facility", second.accept(number, identity), (403, 422), "identity-not-verified", "not-permitted")
    world.refused_or_limited("no identity token", second.accept(number, None), (400, 401, 403, 422), "identity-not-verified", "malformed", "not-permitted")
    world.refused_or_limited("garbage identity token", second.accept(number, "garbage"), 422, "identity-not-verified")
    theirs = world.identified(second, stranger)
    world.refused_or_limited("exchange number of another patient", second.accept(number, theirs), 422, "exchange-number-unknown")
    unused = "000000" if number != "000000" else "000001"
    first_refusal, other_refusal = second.accept(number, theirs), second.accept(unused, theirs)
    limited = 429 in (first_refusal.status, other_refusal.status)
    world.check("another patient's number and no one's answer alike", limited or first_refusal.body == other_refusal.body,
                f"{first_refusal.brief()} / {other_refusal.brief()}")
    answer = first.accept(number, identity)
    world.check("the right facility still can", answer.status == 200, answer.brief())
    if answer.status == 200:
        first.give_back(task["id"])


def replaced(lines, number, text):
    """The lines with the record `number` replaced, and its line number."""
    index = next(i for i, line in enumerate(lines) if line.split(",")[0] == number)
    return [*lines[:index], text, *lines[index + 1 :]], index + 1


def forged_payload(document, drug):
    """The document with another payload under the same signature."""
    encoded = re.search(rb'id="PrescriptionDocument">([^<]+)<', document)[1]
    payload = base64.b64decode(encoded).replace(drug.receipt.encode(), b"620000000")
    return document.replace(encoded, base64.b64encode(payload))


def signatures(world):
    clinic, patient, drug = world.clinics[0], world.patients[0], world.drugs[0]
    doctor, pharmacist = world.signer(world.doctors[0]), world.signer(world.pharmacists[0])
    another = world.signer(next((d for d in world.sandbox.people("Medical Doctor") if d is not world.doctors[0]), world.doctors[0]))
    make = lambda by=None, odd=None: world.prescription(0, patient, [drug], odd, by)  # noqa: E731
    stands = ("signature-invalid", "signature-mismatch", "document-invalid", "malformed")

    def refused(name, document, *codes, statuses=(422,)):
        answer = clinic.register(document)
        world.remember(0, answer)
        world.refused(name, answer, statuses, *codes)

    refused("pharmacist signs a prescription", make(pharmacist), "signer-role")
    refused("facility signs a prescription", make(clinic.credentials), "certificate-untrusted", "signer-role", "document-invalid")  # its key may be of a kind the profile has no algorithm for
    refused("self-made issuer with the right names", make(self_made(doctor)), "certificate-untrusted")
    faulty = sorted((world.sandbox.directory / "pki" / "faulty").glob("[!c]*.pem"))  # card-… belong to cards.py
    for cert in faulty:
        key = next((k for k in (cert.with_suffix(".key"), cert.with_name(cert.name.replace(".cert.pem", ".key"))) if k.exists()), None)
        kind = next((w for w in ("revoked", "expired", "untrusted") if w in cert.name), None)
        if key and kind:
            refused(f"faulty identity {cert.stem}", make(Identity.load(cert, key)), f"certificate-{kind}")
    if not faulty:
        world.tally.note("no faulty identities in the sandbox; revoked and expired certificates not tried")

    good = make()
    refused("changed payload", forged_payload(good, drug), "signature-mismatch")
    refused("flipped SignatureValue", flip_in(good, b"PrescriptionSign", b"ds:SignatureValue"), "signature-invalid")
    changed = forged_payload(good, drug)
    text = changed.decode()
    fresh = signing.digest(signing.by_id(signing.parse(changed), "PrescriptionDocument"), False)
    text = re.sub(r"(#PrescriptionDocument.*?DigestValue>)[^<]+", lambda m: m[1] + fresh, text, count=1)
    refused("changed payload and its digest", text.encode(), "signature-invalid")
    refused("signing certificate names another", make(odd=Odd(certified=another)) if another is not doctor else flip_in(good, b"PrescriptionSign", b"ds:DigestValue"), *stands, "certificate-untrusted")
    refused("KeyInfo carries another's certificate", make(odd=Odd(key_info=another, certified=another)) if another is not doctor else flip_in(good, b"PrescriptionSign", b"ds:DigestValue"), "signature-invalid")
    refused("payload not covered", make(odd=Odd(omit_payload=True)), *stands)
    for uri in ("", "#KeyInfo", "#xpointer(/)", "file:///etc/passwd", "http://127.0.0.1:9/x", "#Document"):
        try:
            refused(f"reference to {uri or 'the whole document'}", make(odd=Odd(payload_uri=uri)), *stands)
        except ValueError:
            world.tally.note(f"reference to {uri} could not be built")
    xslt = '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><x:stylesheet xmlns:x="http://www.w3.org/1999/XSL/Transform" version="1.0"/></ds:Transform>'
    xpath = '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>false()</ds:XPath></ds:Transform>'
    refused("XSLT transform", make(odd=Odd(payload_transforms=[xslt])), *stands)
    refused("XPath transform", make(odd=Odd(payload_transforms=[xpath])), *stands)
    hmac_method = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"
    refused("HMAC method", make(odd=Odd(signature_method=hmac_method, signature_value=b"0" * 32)), *stands)
    refused("RSA-SHA1 method", make(odd=Odd(signature_method="http://www.w3.org/2000/09/xmldsig#rsa-sha1")), *stands)
    unsigned = re.sub(rb"<PrescriptionSign>.*</PrescriptionSign>", b"", good, flags=re.S)
    refused("unsigned", unsigned, *stands)

    body = re.search(rb"<PrescriptionDocument .*?</PrescriptionDocument>", good, re.S)[0]
    forged = re.search(rb"<PrescriptionDocument .*?</PrescriptionDocument>", changed, re.S)[0]
    renamed = forged.replace(b'id="PrescriptionDocument"', b'id="Other"')
    into_object = good.replace(body, renamed).replace(b"</ds:Object>", b"</ds:Object><ds:Object>" + body + b"</ds:Object>")
    refused("wrapped: the signed element moved into the signature", into_object, *stands)
    refused("wrapped: a forged element before the signed one", good.replace(body, renamed + body), *stands)
    refused("wrapped: a forged element after the signed one", good.replace(body, body + renamed), *stands)
    refused("the same id twice, forged first", good.replace(body, forged + body), *stands)
    refused("the same id twice, forged last", good.replace(body, body + forged), *stands)
    refused("id and Id clash", good.replace(b"<PrescriptionSign>", b'<Forged Id="PrescriptionDocument">x</Forged><PrescriptionSign>'), *stands)
    inner = re.search(rb"<Prescription>.*</Prescription>", good, re.S)[0]
    refused("two Prescriptions", good.replace(inner, inner + inner), *stands)
    wrapper = good.replace(body, b"<Wrapper>" + body + b"</Wrapper>")
    refused("signed element one level deeper", wrapper, *stands)
    split = good.replace(body, body.replace(b">U0ox", b">U0<!-- -->ox").replace(b">U0", b">U0<?a b?>"))
    refused("comment and processing instruction in the payload", split, *stands)
    two = good.replace(b"</PrescriptionSign>", re.search(rb"<ds:Signature .*</ds:Signature>", good, re.S)[0] + b"</PrescriptionSign>")
    refused("two signatures", two, *stands)

    broken = ("malformed", "document-invalid")
    head = b'<?xml version="1.0" encoding="UTF-8"?>'
    either = {"statuses": (400, 422)}
    refused("DTD", good.replace(head, head + b"<!DOCTYPE Document>"), *broken, **either)
    entity = b'<!DOCTYPE Document [<!ENTITY a "U0ox">]>'
    refused("internal entity", good.replace(head, head + entity).replace(b">U0ox", b">&a;"), *broken, **either)
    bomb = b"<!DOCTYPE Document [<!ENTITY a0 \"ha\">" + b"".join(b'<!ENTITY a%d "%s">' % (i, b"&a%d;" % (i - 1) * 10) for i in range(1, 10)) + b"]>"
    refused("entity bomb", good.replace(head, head + bomb).replace(b"EPS1.0", b"&a9;"), *broken, **either)
    outside = b'<!DOCTYPE Document [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
    refused("external entity", good.replace(head, head + outside).replace(b"EPS1.0", b"&a;"), *broken, **either)
    refused("not XML", b"SJ1\n", *broken, **either)
    refused("empty body", b"", *broken, **either)
    refused("truncated", good[: len(good) // 2], *broken, **either)
    refused("not UTF-8", good.replace(b"EPS1.0", b"EPS\xff1.0"), *broken, **either)
    deep = b"<a>" * 20000 + b"</a>" * 20000
    refused("twenty thousand levels", good.replace(b"<PrescriptionSign>", deep + b"<PrescriptionSign>"), *broken, **either)
    refused("a dispensing document", world.dispensing(0, 0, patient, str(uuid.uuid4()), good, [drug]), *broken, "signer-role", "document-mismatch", **either)


def contents(world):
    clinic, patient, drug = world.clinics[0], world.patients[0], world.drugs[0]
    plain = world.prescription_lines(0, patient, [drug])

    def refused(name, lines, line=None, record=None, joined=None):
        document = world.signed(0, lines) if joined is None else signing.prescription_xml(joined, world.signer(world.doctors[0]))
        answer = clinic.register(document)
        world.remember(0, answer)
        world.refused(name, answer, 422, "document-invalid")
        if line:
            wanted = rf"^SJ1\[line {line}\]\.{record}(\.\d+)?$"
            world.check(f"{name}: names line {line} record {record}", any(re.match(wanted, e) for e in answer.expressions()), answer.expressions())
        return answer

    refused("CRLF line ends", plain, joined="\r\n".join(plain).encode())
    refused("Shift_JIS payload", plain, joined="\n".join(plain).encode("cp932", "replace"))
    refused("empty payload", plain, joined=b"")
    refused("CJ1 header", plain, joined=b"CJ1,\n" + "\n".join(plain[1:]).encode())
    for name, record, text in (
        ("impossible birth date", "13", "13,20010231"), ("birth date in the future", "13", "13,29990101"),
        ("impossible issue date", "51", "51,20261332"), ("unknown sex", "12", "12,9"), ("insurer of letters", "22", "22,ABCDEFGH"),
        ("unknown receipt code", "201", "201,1,1,1,2,699999999,無い薬,1,1,錠"), ("amount of letters", "201", f"201,1,1,1,2,{drug.receipt},{drug.name},x,1,錠"),
        ("negative amount", "201", f"201,1,1,1,2,{drug.receipt},{drug.name},-1,1,錠"),
        ("zero days", "101", "101,1,1,,0"), ("unknown usage code", "111", "111,1,3,9999999999999999,不明,1"),
    ):
        lines, line = replaced(plain, record, text)
        refused(name, lines, line, record)
    for record in ("1", "5", "11", "12", "13", "22", "23", "51", "101", "111", "201"):
        kept = [text for text in plain if text.split(",")[0] != record]
        answer = refused(f"without record {record}", kept)
        named = any(re.search(rf"(?<!\d){record}(?!\d)", e) for e in answer.expressions())
        world.check(f"without record {record}: an expression names it", named, answer.expressions())
    lines = plain
    faults = []
    for record, text in (("12", "12,9"), ("13", "13,20010231"), ("51", "51,20261332"), ("201", f"201,1,1,1,2,{drug.receipt},{drug.name},x,1,錠")):
        lines, line = replaced(lines, record, text)
        faults.append(f"SJ1[line {line}].{record}")
    answer = refused("four faults", lines)
    reported = [f for f in faults if any(e.startswith(f) for e in answer.expressions())]
    world.check("four faults are reported at once", len(reported) == 4, answer.expressions())
    wrong_clinic, _ = replaced(plain, "1", f"1,1,{world.clinics[1].code[3:]},{world.clinics[1].code[:2]},{world.clinics[1].name}")
    answer = clinic.register(world.signed(0, wrong_clinic))
    world.remember(0, answer)
    world.refused("another clinic in record 1", answer, (403, 422), "document-invalid", "document-mismatch", "not-permitted", "role-mismatch")
    unknown, _ = replaced(plain, "23", "23,99,87654321,1,00")
    answer = clinic.register(world.signed(0, unknown))
    world.remember(0, answer)
    world.refused("a patient nobody knows", answer, 422, "identity-not-verified", "document-invalid", "document-mismatch")
    named = [p for p in world.patients if not encodable(p["name"])]
    for person in named[:1]:
        answer, _ = clinic.register_resolving(world.prescription(0, person, [drug]))
        world.remember(0, answer)
        world.check("a name outside Shift_JIS", answer.status == 201, answer.brief())


def encodable(name):
    try:
        name.encode("cp932")
    except UnicodeEncodeError:
        return False
    return True


def requests(world):
    clinic, patient, drug = world.clinics[0], world.patients[0], world.drugs[0]
    good = world.prescription(0, patient, [drug])
    big = good + b" " * (20 * 1024 * 1024)
    try:
        world.refused("document of 20 MiB", clinic.register(big), 413, "too-large")
    except OSError as error:
        world.check("document of 20 MiB", False, f"connection lost: {error!r}")
    clinic.sandbox.wire.drop()
    for media in ("text/plain", "application/json", "multipart/form-data; boundary=x", "nonsense"):
        answer = clinic.register(good, content_type=media)
        world.remember(0, answer)
        world.refused(f"media type {media}", answer, 415, "unsupported-media-type")
    world.refused("no media type", clinic.register(good, content_type=None), 415, "unsupported-media-type")
    for method, path in (("DELETE", "/fhir/Task/$register"), ("GET", "/fhir/Task/$accept"), ("PUT", "/fhir/Patient/$verify-identity"), ("PATCH", "/fhir/Task")):
        world.refused(f"{method} {path}", clinic.call(method, path), 405, "method-not-allowed")
    for path in ("/fhir/Nothing", "/fhir/Task/$nothing", "/fhir/Task/1/2/3/4", "/fhir/", "/fhir/Task/../../etc/passwd", "/fhir/Task/%00"):
        world.refused(f"GET {path}", clinic.call("GET", path), 404, "not-found")
    for path in (f"/fhir/Task/{uuid.uuid4()}", "/fhir/Task/not-a-uuid", f"/fhir/Task/{uuid.uuid4()}/$document"):
        world.refused(f"GET {path[:24]}", clinic.call("GET", path), 404, "not-found")
    for path, coding in (("/fhir/metadata", "gzip"), ("/fhir/Task?_count=1", None)):
        plain, packed = (clinic.call("GET", path, headers={"Accept-Encoding": coding}) for coding in ("identity", "gzip"))
        told = packed.headers.get("content-encoding")
        world.check(f"GET {path} as gzip: {coding}", told == coding and packed.json() == plain.json(), told)
    for action in ("$cancel", "$return", "$renew", "$collect"):
        actor = clinic if action == "$cancel" else world.pharmacies[0]
        world.refused(f"{action} of no prescription", actor.operate(f"/fhir/Task/{uuid.uuid4()}/{action}", parameters(reason="x")), 404, "not-found")
    pharmacy = world.pharmacies[0]
    identity = world.identified(pharmacy, patient)
    for name, body in (
        ("not JSON", b"{"), ("no body", b""), ("an array", b"[]"), ("null", b"null"), ("another resource", b'{"resourceType":"Patient"}'),
        ("no parameter", b'{"resourceType":"Parameters"}'), ("parameter is a string", b'{"resourceType":"Parameters","parameter":"x"}'),
        ("number is a number", b'{"resourceType":"Parameters","parameter":[{"name":"exchangeNumber","valueInteger":123456}]}'),
        ("number is an object", b'{"resourceType":"Parameters","parameter":[{"name":"exchangeNumber","valueString":{}}]}'),
        ("number twice", b'{"resourceType":"Parameters","parameter":[{"name":"exchangeNumber","valueString":"1"},{"name":"exchangeNumber","valueString":"2"}]}'),
        ("ten thousand brackets", b"[" * 10000), ("not UTF-8", b'{"resourceType":"\xff"}'),
    ):
        world.refused(f"$accept with {name}", pharmacy.operate("/fhir/Task/$accept", body, identity=identity), 400, "malformed")
    for query in ("status=nonsense", "_count=-1", "_count=99999999999999999999", "authored-on=yesterday", "business-status=%ff", "identifier=%00"):
        answer = clinic.call("GET", f"/fhir/Task?{query}")
        ok = answer.status == 200 or (answer.status == 400 and answer.codes() == ["malformed"])
        world.check(f"search {query}", ok, answer.brief())
    answer = clinic.register(good, headers={"Content-Encoding": "gzip"})
    world.remember(0, answer)
    world.tally.note(f"Content-Encoding gzip over a plain body: {answer.brief()}")
    world.check("GET /healthz", world.sandbox.send("GET", "/healthz").status == 200)


def privacy(world):
    leaks = sorted(set(world.sandbox.leaks))
    world.check("no refusal contained a patient's name or numbers", not leaks, leaks[:10])
    errors = sorted(set(world.sandbox.server_errors))
    world.check("no 5xx but 503", not errors, errors[:10])
    judges = world.sandbox.judges
    world.check(
        f"{judges.judged} answers are FHIR R4 to fhir.resources, and as /openapi.json describes them",
        judges.judged > 0 and not judges.faults, dict(list(judges.faults.items())[:20]),
    )
    if world.sandbox.retried:
        world.tally.note(f"{world.sandbox.retried} calls were repeated after 429 or 503")
