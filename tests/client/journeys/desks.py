"""The stories of the facilities and of the people who work there, each seen through the eyes of a patient of theirs."""

import base64
import json
import time
import uuid

import jose
import records
import signing
from exchange_client import business_state, parameters

from .patients import (
    DENSHO, DENTAL, HAKO, HIKIKAE, HISTORY, HOSPITAL, ICHIRO, INTERNAL, KYOKO, LIST, MIHON, ORTHOPEDIC, SABURO, SHIRABE,
    YAKUKO, ZAITA,
)


def internal_clinic(stage):
    """Densho Internal Medicine and Dr Densho follow what becomes of their prescriptions, and take one back."""
    clinic, doctor = stage.cast(INTERNAL, ICHIRO)
    patient, pharmacy = stage.people["試験　花代"], stage.actors[MIHON]
    stage.watch(patient)
    stage.step("The clinic notes how far it has followed")
    searched = clinic.call("GET", "/fhir/Task?_count=1&_lastUpdated=gt2099-01-01")
    feed = next(link["url"] for link in searched.resource()["link"] if link["relation"] == "feed")
    stage.step("Dr Densho prescribes, a pharmacy takes it over and gives it back")
    task, number = stage.prescribed(clinic, doctor, patient, [stage.drug("フェブリク")])
    stage.accepted(pharmacy, patient, number)
    stage.act(pharmacy, task, "$return")
    stage.sees(task, "issued", "accepted", "issued")
    stage.looked("accept", "return", by=pharmacy)
    stage.step("He finds that it was the wrong patient's, and the clinic cancels it")
    stage.act(clinic, task, "$cancel", "患者の取り違え")
    stage.sees(task, "issued", "accepted", "issued", "cancelled")
    stage.looked("cancel", by=clinic)
    stage.step("The clinic reads on where it left off")
    told = []
    for _ in range(50):  # a change is told once what was under way beside it is over
        page = clinic.call("GET", feed.removeprefix(stage.sandbox.base_url))
        links = {link["relation"]: link["url"] for link in page.resource()["link"]}
        told += [business_state(e["resource"]) for e in page.resource().get("entry") or [] if e["resource"]["id"] == task]
        feed = links["feed"]
        if len(told) == 4:
            break
        time.sleep(0 if "next" in links else 0.2)
    stage.check("it is told each change once, in order", told == ["issued", "accepted", "issued", "cancelled"], told)
    stage.step("Nobody can have it any more")
    stage.refused("cancelled is cancelled", pharmacy.accept(number, stage.world.identified(pharmacy, patient)), 409, "cancelled")
    stage.sees(task, "issued", "accepted", "issued", "cancelled")
    stage.looked("accept", by=pharmacy, outcome="4")


def orthopedic_clinic(stage):
    """Mihon Orthopaedics and Dr Mihon prescribe what another clinic prescribed already, and say why."""
    clinic, doctor = stage.cast(ORTHOPEDIC, KYOKO)
    first, other_doctor = stage.actors[INTERNAL], stage.people[ICHIRO]
    patient, drugs = stage.people["引換　桜"], [stage.drug("ロキソニン")]
    stage.watch(patient)
    stage.step("A colleague elsewhere has prescribed a pain killer")
    one, _ = stage.prescribed(first, other_doctor, patient, drugs)
    stage.sees(one, "issued")
    stage.step("Dr Mihon signs the same, and is stopped")
    document = stage.signed(clinic, doctor, patient, drugs)
    stopped = clinic.register(document)
    stage.refused("the check stands in the way", stopped, 409, "medication-check-unresolved")
    stage.check("she is not told whose it is", first.name not in stopped.body.decode())
    stage.looked("register", by=clinic, outcome="4")
    stage.sees(one, "issued")
    stage.step("She gives her reason and signs nothing anew")
    two, _ = stage.registered(clinic, document)
    stage.sees(two, "issued")
    stage.looked("mitigate", "register", by=clinic)
    stage.step("The colleague takes his back")
    stage.act(first, one, "$cancel", "重複のため")
    stage.sees(one, "issued", "cancelled")
    stage.sees(two, "issued")
    stage.looked("cancel", by=first)


def dental_clinic(stage):
    """Shiken Dental and Dr Shiken prescribe; nobody signs in her place."""
    clinic, dentist = stage.cast(DENTAL, HAKO)
    patient, chemist = stage.people["電処　花子"], stage.people[YAKUKO]
    stage.watch(patient)
    drugs = [stage.drug("カロナール")]
    lines = stage.lines(clinic, dentist, patient, drugs, days=3)
    stage.step("A pharmacist signs what only she may sign")
    wrong = signing.prescription_xml(records.payload(lines), stage.world.signer(chemist))
    stage.refused("it is refused", clinic.register(wrong), 422, "signer-role")
    stage.step("She signs it herself, a dentist")
    task, _ = stage.prescribed(clinic, dentist, patient, drugs, days=3)
    stage.sees(task, "issued")
    stage.looked("register", by=clinic)
    stage.step("Another clinic wants to take it back")
    stage.refused("it does not even exist there", stage.actors[INTERNAL].cancel(task), 404, "not-found")
    stage.sees(task, "issued")
    stage.act(clinic, task, "$cancel", "抜歯の延期")
    stage.sees(task, "issued", "cancelled")


def hospital(stage):
    """Hikikae General Hospital and Dr Hikikae: a night in the emergency room, and medicine from the hospital's own shelf."""
    clinic, doctor = stage.cast(HOSPITAL, SABURO)
    patient = stage.people["電処　多吉"]
    eyes = stage.watch(patient)
    stage.step("He is brought in unconscious; Dr Hikikae breaks the glass")
    at_terminal = stage.staffed(clinic, doctor)
    body = parameters(name=patient["name"], birthDate=patient["birth_date"], sex=patient["sex"], reason="意識不明で搬送")
    broken = at_terminal("POST", "/fhir/Patient/$break-glass", body)
    stage.check("he is found by name and birth date", broken.value("method") == "break-glass", broken.brief())
    history = at_terminal("GET", "/fhir/MedicationDispense", identity=broken.value("identityToken"))
    stage.check("his medicines are known", history.status == 200 and history.resource()["total"] > 0, history.brief())
    stage.looked("break-glass", by=clinic)
    stage.check("no consent was made up for it", HISTORY not in {kind for kind, _, _ in eyes.consents()}, eyes.consents())
    stage.step("The hospital gives him a medicine of its own")
    lines = stage.lines(clinic, doctor, patient, [stage.drug("メチコバール")], days=3)
    task, number = stage.registered(clinic, "\n".join(lines).encode(), "text/csv", "?kind=in-house")
    stage.check("it has no number, nobody else is to have it", number is None, number)
    stage.sees(task, "dispensed", owner=clinic)
    stage.looked("register", by=clinic)
    stage.check("it is in his history", eyes.medicines(task) == 1, eyes.medicines(task))
    stage.step("It was not given after all")
    stage.act(clinic, task, "$cancel", "投与せず")
    stage.sees(task, "dispensed", "cancelled")
    stage.check("nor is it in his history", eyes.medicines(task) == 0, eyes.medicines(task))


def first_pharmacy(stage):
    """Densho Pharmacy and Ms Densho keep a prescription until the medicine comes; nobody else gets it meanwhile."""
    pharmacy, chemist = stage.cast(DENSHO, YAKUKO)
    clinic, doctor, other = stage.actors[INTERNAL], stage.people[ICHIRO], stage.actors[MIHON]
    patient, drugs = stage.people["引換　次郎"], [stage.drug("デエビゴ")]
    eyes = stage.watch(patient)
    task, number = stage.prescribed(clinic, doctor, patient, drugs)
    stage.sees(task, "issued")
    stage.step("She takes it over and orders the medicine")
    delivered = stage.accepted(pharmacy, patient, number)
    stage.sees(task, "issued", "accepted", owner=pharmacy)
    stage.step("Another pharmacy tries, and the clinic too")
    stage.refused("it is held", other.accept(number, stage.world.identified(other, patient)), 409, "held-by-pharmacy")
    stage.refused("it cannot be taken back", clinic.cancel(task), 409, "held-by-pharmacy")
    stage.sees(task, "issued", "accepted", owner=pharmacy)
    stage.looked("accept", by=other, outcome="4")
    stage.step("The week is nearly over; she keeps it for another")
    ends = [e["valueInstant"] for e in eyes.view(task)[0]["extension"] if e["url"].endswith("/lease-end")]
    renewed = pharmacy.renew(task)
    later = [e["valueInstant"] for e in eyes.view(task)[0]["extension"] if e["url"].endswith("/lease-end")]
    stage.check("the patient sees until when", renewed.status == 200 and later > ends, (ends, later))
    stage.sees(task, "issued", "accepted", "accepted", owner=pharmacy)
    stage.step("The medicine is here, and so is he")
    result = stage.result((pharmacy, chemist), (clinic, doctor), patient, task, delivered, drugs)
    stage.dispensed(pharmacy, task, result)
    stage.sees(task, "issued", "accepted", "accepted", "dispensed", owner=pharmacy)
    stage.looked("renew", "dispense", by=pharmacy)


def second_pharmacy(stage):
    """Mihon Pharmacy and Mr Mihon have something to tell the physician."""
    pharmacy, chemist = stage.cast(MIHON, ZAITA)
    clinic, doctor = stage.actors[ORTHOPEDIC], stage.people[KYOKO]
    patient, drugs = stage.people["見本　梅"], [stage.drug("リマプロスト")]
    stage.watch(patient)
    task, number = stage.prescribed(clinic, doctor, patient, drugs)
    stage.sees(task, "issued")
    stage.step("He dispenses, and marks what he found out as important (重要情報)")
    delivered = stage.accepted(pharmacy, patient, number)
    result = stage.result((pharmacy, chemist), (clinic, doctor), patient, task, delivered, drugs)
    stage.dispensed(pharmacy, task, result, "$dispense?important=true")
    stage.sees(task, "issued", "accepted", "dispensed", owner=pharmacy)
    stage.looked("dispense", by=pharmacy)
    stage.step("The clinic sees that there is something to read, and reads it")

    def marked(tasks):
        return [e["valuePositiveInt"] for e in tasks.resource()["extension"] if e["url"].endswith("/important-information")]

    seen = clinic.task(task)
    stage.check("result 1 is marked", marked(seen) == [1], marked(seen))
    stage.check("it is what he signed", clinic.document(task, "dispensing").body == result)
    stage.check("reading it changes nothing", (clinic.task(task).etag, marked(clinic.task(task))) == (seen.etag, [1]))
    stage.sees(task, "issued", "accepted", "dispensed")
    stage.looked("document", by=clinic)
    stage.step("He corrects his result; the new one is for nobody in particular")
    again = stage.result((pharmacy, chemist), (clinic, doctor), patient, task, delivered, drugs)
    stage.dispensed(pharmacy, task, again, "$amend-dispense")
    stage.check("the mark went with the result", marked(clinic.task(task)) == [])
    stage.sees(task, "issued", "accepted", "dispensed", "dispensed", owner=pharmacy)


def third_pharmacy(stage):
    """Hikikae Pharmacy and Ms Hikikae work in FHIR from end to end, and find by card what waits."""
    pharmacy, chemist = stage.cast(HIKIKAE, SHIRABE)
    clinic, doctor = stage.actors[INTERNAL], stage.people[ICHIRO]
    patient, drug = stage.people["電処　花子"], stage.drug("フェキソフェナジン")
    eyes = stage.watch(patient)
    stage.step("Dr Densho's system speaks FHIR; what he signs is a JWS")
    document = jose.jws(jose.encoded(jose.prescription(clinic.persona, doctor, patient, drug)), stage.world.signer(doctor))
    task, _ = stage.registered(clinic, document, jose.JOSE)
    stage.sees(task, "issued")
    stage.step("She lays her card on the reader and lets the pharmacy see what waits for her")
    identity = stage.by_card(pharmacy, eyes, LIST).value("identityToken")
    stage.check("the consent is in force", (LIST, "permit", pharmacy.code) in eyes.consents(), eyes.consents())
    stage.check("it is in the list", task in pharmacy.call("GET", "/fhir/Task?_count=100", identity=identity).body.decode())
    stage.sees(task, "issued")
    stage.looked("search", by=pharmacy, basis="card")
    stage.step("The pharmacy takes it over, twice, for the line broke")
    key = str(uuid.uuid4())
    first, again = (pharmacy.operate("/fhir/Task/$accept", parameters(prescription=task), identity=identity, key=key)
                    for _ in range(2))
    stage.check("both answers are one", first.status == 200 and first.body == again.body, f"{first.brief()} {again.brief()}")
    delivered = base64.b64decode(first.value("document")["data"])
    stage.check("what is delivered is what he signed", delivered == document)
    stage.sees(task, "issued", "accepted", owner=pharmacy)
    stage.looked("accept", by=pharmacy, basis="card")
    stage.step("Ms Hikikae signs her result in FHIR too")
    result = jose.dispensing(pharmacy.persona, chemist, clinic.persona, patient, task, drug, (jose.JOSE, delivered))
    signed = jose.jws(jose.encoded(result), stage.world.signer(chemist))
    stage.dispensed(pharmacy, task, signed, content_type=jose.JOSE)
    stage.sees(task, "issued", "accepted", "dispensed", owner=pharmacy)
    stage.looked("dispense", by=pharmacy)
    kept = eyes.call("GET", f"/fhir/Task/{task}/$document?part=dispensing", Accept="*/*")
    stage.check("the patient reads it as she signed it", kept.body == signed, kept.brief())
    shown = json.dumps(eyes.call("GET", "/fhir/MedicationDispense?_count=200").resource(), ensure_ascii=False)
    stage.check("and finds the medicine in her history", task in shown)
    for consent in eyes.call("GET", "/fhir/Consent").resource().get("entry") or []:
        eyes.call("DELETE", f"/fhir/Consent/{consent['resource']['id']}")
    stage.refused("what she takes back is closed", pharmacy.call("GET", "/fhir/Task", identity=identity), 403, "consent-required")


DESKS = [internal_clinic, orthopedic_clinic, dental_clinic, hospital, first_pharmacy, second_pharmacy, third_pharmacy]
