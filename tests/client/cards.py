"""The patient's card: challenge, assertion, what must be refused, what a consent opens, how it is withdrawn, and what
the patient reads of it all."""

import json
import time
import uuid

from exchange_client import FHIR_JSON, exchange_number, jwt, parameters
from refusals import self_made
from signing import Identity

HISTORY, LIST = "medication-history", "prescription-list"


def card_claims(world, at, nonce, **changes):
    now = int(time.time())
    claims = {
        "iss": "card", "sub": "card", "aud": world.sandbox.base_url, "jti": str(uuid.uuid4()), "iat": now,
        "exp": now + 240, "nonce": nonce, "facility": at.code, "consent": [HISTORY, LIST],
    } | changes
    return {name: value for name, value in claims.items() if value is not None}


def challenge(facility):
    return facility.operate("/fhir/Patient/$card-challenge", None).value("nonce")


def show(facility, assertion):
    return facility.operate("/fhir/Patient/$verify-identity", parameters(cardAssertion=assertion))


def cards(world):
    sandbox = world.sandbox
    holder = next(p for p in world.patients if p.get("cert"))
    card = sandbox.identity(holder)
    pharmacy, other = world.pharmacies[0], world.pharmacies[1]

    def signed(at, identity=card, nonce=None, **changes):
        return jwt(identity, card_claims(world, at, nonce or challenge(at), **changes))

    assertion = signed(pharmacy)
    good = show(pharmacy, assertion)
    granted = [part for part in good.resource().get("parameter") or [] if part["name"] == "consent"]
    kinds = {part["part"][0]["valueCode"] for part in granted}
    world.check("a card is its holder", good.status == 200 and good.value("method") == "card", good.brief())
    world.check("both consents, with their ends", kinds == {HISTORY, LIST} and all(len(p["part"]) == 3 for p in granted), granted)
    identity = good.value("identityToken")

    refused = {}
    refused["the same assertion again"] = (pharmacy, assertion)
    spent = challenge(pharmacy)
    show(pharmacy, signed(pharmacy, nonce=spent))
    refused["a nonce again"] = (pharmacy, signed(pharmacy, nonce=spent))
    refused["another facility's nonce"] = (other, signed(other, nonce=challenge(pharmacy)))
    refused["made for another facility"] = (pharmacy, signed(pharmacy, facility=other.code))
    refused["a nonce of one's own"] = (pharmacy, signed(pharmacy, nonce="A" * 43))
    refused["no nonce"] = (other, jwt(card, card_claims(world, other, None)))
    refused["no facility"] = (other, signed(other, facility=None))
    refused["an unknown consent"] = (other, signed(other, consent=[HISTORY, "everything"]))
    refused["a consent that is no list"] = (other, signed(other, consent=HISTORY))
    refused["addressed to the token endpoint"] = (other, signed(other, aud=f"{sandbox.base_url}/oauth2/token"))
    refused["a revoked card"] = (pharmacy, signed(pharmacy, faulty(sandbox, "card-revoked")))
    refused["an expired card"] = (pharmacy, signed(pharmacy, faulty(sandbox, "card-expired")))
    refused["a card of one's own making"] = (pharmacy, signed(pharmacy, self_made(card)))
    refused["a facility's certificate"] = (pharmacy, signed(pharmacy, pharmacy.credentials))
    answers = {name: show(facility, assertion) for name, (facility, assertion) in refused.items()}
    for name, answer in answers.items():
        world.refused_or_limited(name, answer, 422, "identity-not-verified")
    told = {a.body for a in answers.values() if a.status == 422}
    world.check("one refusal for all", len(told) == 1, told)

    # Whoever holds what the card has said does not become the patient.
    login = sandbox.token_request(pharmacy.assertion_form(signed(pharmacy)))
    world.check("an assertion for a counter logs nobody in", login.status == 401, login.brief())
    own = sandbox.token_request(pharmacy.assertion_form(jwt(card, card_claims(world, pharmacy, None, facility=None, consent=None))))
    body = own.resource()
    world.check("the card logs its holder in", own.status == 200 and body["actor"]["kind"] == "patient", own.brief())
    scope(world, holder, identity, body["access_token"])


def scope(world, holder, identity, bearer):
    """What the consent opens, and that it closes at once when it is withdrawn."""
    pharmacy = world.pharmacies[0]
    _, task = world.registered(0, holder, [world.drugs[0]])
    listed = lambda: pharmacy.call("GET", "/fhir/Task?_count=100", identity=identity)  # noqa: E731
    ids = [e["resource"]["id"] for e in listed().resource().get("entry") or []]
    world.check("what waits is listed", task["id"] in ids, ids)
    world.check("without exchange numbers", exchange_number(task) not in listed().body.decode(), "shown")
    by_insurance = world.identified(pharmacy, holder)
    by_id = parameters(prescription=task["id"])
    world.refused("by id without consent", pharmacy.operate("/fhir/Task/$accept", by_id, identity=by_insurance), 403, "consent-required")
    elsewhere = world.pharmacies[1].operate("/fhir/Task/$accept", by_id, identity=identity)
    world.refused("another pharmacy with the token", elsewhere, 422, "identity-not-verified")

    def own(method, path, body=None):
        headers = {"Authorization": f"Bearer {bearer}", "Accept": FHIR_JSON, "Content-Type": FHIR_JSON}
        return world.sandbox.send(method, path, body, headers)

    standing = own("GET", "/fhir/Consent").resource().get("entry") or []
    of_list = [e["resource"] for e in standing if e["resource"]["category"][0]["coding"][0]["code"] == LIST]
    for consent in of_list:
        answer = own("DELETE", f"/fhir/Consent/{consent['id']}")
        world.check("withdrawn", answer.status == 204, answer.brief())
    world.refused("the next read with the token given before", listed(), 403, "consent-required")
    world.refused("accepting with it", pharmacy.operate("/fhir/Task/$accept", by_id, identity=identity), 403, "consent-required")
    if not of_list:
        return
    of_list[0].pop("id"), of_list[0].pop("extension"), of_list[0]["provision"].pop("period")
    kept = own("POST", "/fhir/Consent", json.dumps(of_list[0]).encode())
    world.check("a standing consent", kept.status == 201, kept.brief())
    accepted = pharmacy.operate("/fhir/Task/$accept", by_id, identity=by_insurance)
    world.check("opens a token by insurance data", accepted.status == 200, accepted.brief())
    returned = pharmacy.give_back(task["id"])
    world.check("given back", returned.status == 200, returned.brief())
    gone = own("DELETE", f"/fhir/Consent/{kept.resource().get('id')}")
    world.check("and is withdrawn", gone.status == 204, gone.brief())
    told(world, own, task["id"])


def told(world, own, task):
    """The patient reads it all, refusals too, page by page and in sentences."""
    pages, path = [], "/fhir/AuditEvent?_count=20"
    while path and len(pages) < 20:
        answer = own("GET", path)
        pages.append(answer.resource())
        following = [link["url"] for link in pages[-1].get("link") or [] if link["relation"] == "next"]
        path = following[0].removeprefix(world.sandbox.base_url) if following else None
    events = [entry["resource"] for page in pages for entry in page.get("entry") or []]
    times = [event["recorded"] for event in events]
    world.check("the access record, the newest first", events and times == sorted(times, reverse=True), len(events))
    once = {event["id"] for event in events}
    world.check("each once", len(once) == len(events), f"{len(events)} of {len(once)}")
    of_task = [e for e in events if any(f"Task/{task}" == (x.get("what") or {}).get("reference") for x in e["entity"])]
    acts = {(event["subtype"][0]["code"], event["outcome"]) for event in of_task}
    world.check("with what became of the prescription", {("register", "0"), ("accept", "0"), ("return", "0")} <= acts, acts)
    consents = {d["valueString"] for e in of_task for x in e["entity"] for d in x.get("detail") or [] if d["type"] == "basis"}
    world.check("and the consent it was opened by", "standing" in consents, consents)
    refused = [event for event in events if event["outcome"] == "4"]
    world.check("and what was refused", any("consent-required" in event["outcomeDesc"] for event in refused), len(refused))
    sentences = [event["text"]["div"] for event in events]
    world.check("as sentences", all("lang=\"ja\"" in s and "lang=\"en\"" in s for s in sentences), sentences[:1])


def faulty(sandbox, name):
    place = sandbox.directory / "pki" / "faulty"
    return Identity.load(place / f"{name}.pem", place / f"{name}.key")
