"""The patients' stories. The names are those of the sandbox's personas."""

import base64
import io
import json
import urllib.parse
from datetime import datetime, timedelta, timezone

from authlib.common.security import generate_token
from authlib.oauth2.rfc7636 import create_s256_code_challenge

import records
import signing
from apps import FORM
from exchange_client import business_state, exchange_number, parameters

from .eyes import ActingFor, Eyes, entries

AMOXICILLIN = records.Drug("620006919", "6131001M2300", "サワシリンカプセル２５０　２５０ｍｇ", "カプセル")
# Not to be taken together with the simvastatin that the rich history holds.
ITRACONAZOLE = records.Drug("616290177", "6290004M1029", "イトリゾールカプセル５０　５０ｍｇ", "カプセル")
INTERNAL, ORTHOPEDIC, DENTAL, HOSPITAL = "電処内科クリニック", "見本整形外科", "試験歯科医院", "引換総合病院"
DENSHO, MIHON, HIKIKAE = "電処調剤薬局", "見本薬局", "引換薬局"
ICHIRO, KYOKO, SABURO, HAKO = "電処　一郎", "見本　京子", "引換　三郎", "試験　歯子"
YAKUKO, ZAITA, SHIRABE = "電処　薬子", "見本　剤太", "引換　調子"
HISTORY, LIST = "medication-history", "prescription-list"


def decision(kind, permit, facility):
    """A standing consent or refusal as the patient sends it."""
    def concept(system, code):
        return {"coding": [{"system": system, "code": code}]}

    institution = {"system": "http://jpfhir.jp/fhir/Common/IdSystem/insurance-medical-institution-no", "value": facility.code}
    actor = {"role": concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP"),
             "reference": {"identifier": institution}}
    return {
        "resourceType": "Consent", "status": "active",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [concept("https://hikikae.dev/fhir/CodeSystem/consent-kind", kind)],
        "provision": {"type": "permit" if permit else "deny", "actor": [actor]},
    }


def hanako(stage):
    """Densho Hanako, 76, gets her medicines: one clinic, one pharmacy, nothing in between."""
    [patient] = stage.cast("電処　花子")
    clinic, doctor, pharmacy, chemist = stage.cast(INTERNAL, ICHIRO, DENSHO, YAKUKO)
    eyes = stage.watch(patient)
    drugs = [stage.drug("レバミピド"), stage.drug("マグミット")]
    stage.step("Dr Densho prescribes for a week, and the clinic registers what he signed")
    task, number = stage.prescribed(clinic, doctor, patient, drugs)
    stage.sees(task, "issued")
    stage.looked("register", by=clinic)
    stage.check("she has the number that the clinic has", eyes.number(task) == number)
    stage.step("She asks for her slip")
    slip = eyes.call("GET", f"/fhir/Task/{task}/$slip", Accept="application/pdf")
    stage.check("it is a PDF, or no font is installed", slip.status == 406 or slip.body.startswith(b"%PDF-"), slip.brief())
    stage.sees(task, "issued")
    stage.step("The pharmacy takes it over when she shows insurance card and number")
    delivered = stage.accepted(pharmacy, patient, number)
    stage.sees(task, "issued", "accepted", owner=pharmacy)
    stage.looked("accept", by=pharmacy)
    stage.step("She leaves with her medicines")
    result = stage.result((pharmacy, chemist), (clinic, doctor), patient, task, delivered, drugs)
    stage.dispensed(pharmacy, task, result)
    stage.sees(task, "issued", "accepted", "dispensed", owner=pharmacy)
    stage.looked("dispense", by=pharmacy)
    stage.check("both medicines are in her history", eyes.medicines(task) == 2, eyes.medicines(task))
    stage.step("She takes her medicine notebook along")
    notebook = eyes.call("GET", f"/fhir/Patient/$notebook?dispense={task}", Accept="text/csv")
    said = notebook.body.decode("cp932") if notebook.status == 200 else ""
    stage.check("both stand in it", all(drug.name in said for drug in drugs), notebook.brief() if not said else said.count("\n"))
    stage.step("She reads both signed documents")
    read = eyes.call("GET", f"/fhir/Task/{task}/$document?part=dispensing", Accept="*/*")
    stage.check("as they were sent", read.body == result, read.brief())


def rich(stage):
    """Densho Takichi, 78, has a rich history, and it is his to show."""
    [patient] = stage.cast("電処　多吉")
    clinic, doctor = stage.cast(ORTHOPEDIC, KYOKO)
    eyes = stage.watch(patient)
    drugs = [stage.drug("アムロジピン"), ITRACONAZOLE]

    def checked(identity, oral=False):
        path = f"/fhir/$medication-check?oral-consent={str(oral).lower()}"
        lines = "\n".join(stage.lines(clinic, doctor, patient, drugs))
        return clinic.call("POST", path, lines.encode(), "text/csv", identity=identity)

    def details(answer):
        return "MedicationStatement" in answer.body.decode()

    stage.step("Dr Mihon, who never had his consent, checks what she wants to prescribe")
    insured = stage.world.identified(clinic, patient)
    answer = checked(insured)
    found = [r for r in (e["resource"] for e in answer.resource()["entry"]) if r["resourceType"] == "DetectedIssue"]
    kinds = {coding["code"] for issue in found for coding in issue["code"]["coding"]}
    stage.check("she learns of a duplicate and of a contraindication", {"DUPTHPY", "DRG"} <= kinds, kinds)
    told = answer.body.decode()
    stage.check("and not with what, nor whose", not details(answer) and "リポバス" not in told and HOSPITAL not in told, told)
    stage.looked("check", by=clinic)
    stage.step("He says at the counter that she may see it")
    answer = checked(insured, oral=True)
    stage.check("she sees the details of the hits", details(answer) and "リポバス" in answer.body.decode(), answer.brief())
    stage.looked("check", by=clinic, basis="oral")
    stage.step("He lays his card on the reader and consents to his history")
    shown = stage.by_card(clinic, eyes, HISTORY)
    identity = shown.value("identityToken")
    stage.check("the consent is in force", (HISTORY, "permit", clinic.code) in eyes.consents(), eyes.consents())
    at_terminal = stage.staffed(clinic, doctor)
    read = at_terminal("GET", "/fhir/MedicationDispense", identity=identity)
    stage.check("she reads what he was given", read.status == 200 and read.resource()["total"] > 0, read.brief())
    stage.looked("history-given-out", by=clinic, basis="card")
    stage.step("He withdraws it from his telephone while she still reads")
    for consent in eyes.call("GET", "/fhir/Consent").resource().get("entry") or []:
        eyes.call("DELETE", f"/fhir/Consent/{consent['resource']['id']}")
    stage.check("nothing is in force any more", eyes.consents() == set(), eyes.consents())
    stage.refused("the next page stays closed, by the same token", at_terminal("GET", "/fhir/MedicationDispense", identity=identity),
                  403, "consent-required")
    stage.looked("history-given-out", by=clinic, outcome="4")


def insurer_changed(stage):
    """Hikikae Jiro, 41, changed insurers, and stays one person."""
    [patient] = stage.cast("引換　次郎")
    clinic, doctor, pharmacy, chemist = (stage.cast(INTERNAL, ICHIRO, DENSHO, YAKUKO))
    eyes = stage.watch(patient)
    drugs = [stage.drug("タケキャブ")]
    stage.step("Dr Densho prescribes under the insurance he has now")
    task, number = stage.prescribed(clinic, doctor, patient, drugs)
    stage.sees(task, "issued")
    stage.step("At the pharmacy he shows the certificate of his former insurer")
    former = pharmacy.verify_identity(patient, insurerNumber="06139026", symbol="55", number="1234", branchNumber="00")
    stage.refused("it is no longer his", former, 422, "identity-not-verified")
    stage.sees(task, "issued")
    stage.step("He finds the new one")
    delivered = stage.accepted(pharmacy, patient, number)
    stage.sees(task, "issued", "accepted", owner=pharmacy)
    result = stage.result((pharmacy, chemist), (clinic, doctor), patient, task, delivered, drugs)
    stage.dispensed(pharmacy, task, result)
    stage.sees(task, "issued", "accepted", "dispensed")
    stage.looked("accept", "dispense", by=pharmacy)
    stage.check("his history has it", eyes.medicines(task) == 1, eyes.medicines(task))


def no_card(stage):
    """Shiken Musatsu, 55, has no card, and needs none: his niece looks after his record."""
    patient, niece = stage.cast("試験　無札", "試験　花代")
    clinic, doctor, pharmacy, chemist = (stage.cast(INTERNAL, ICHIRO, MIHON, ZAITA))
    hers = Eyes(stage.sandbox, niece)
    stage.step("She logs in for him, as she thinks families may")
    patient_id = stage.known_as(patient, "代理人の登録のため")
    eyes = ActingFor(stage.sandbox, niece, patient_id)
    stage.check("she may not", eyes.login().status == 400, eyes.login().brief())
    stage.step("He signs a power of attorney, and the operator enters what it says")
    until = (datetime.now(timezone.utc) + timedelta(days=365)).strftime("%Y-%m-%d")
    mandate = stage.operator("mandate-add", f"--patient={patient_id}", f"--representative={hers.id()}",
                             "--relationship=family", "--scope=manage", f"--until={until}", "--evidence=委任状")["id"]
    stage.seen_by(eyes)
    stage.reads("mandate-add", "このサービスの運営者が、代理人を定めました。", f"代理人は{niece['name']}さん", "委任状",
                f"The operator of this service named a representative for you. The representative is {niece['name']}.")
    stage.reads("whose-data", "このサービスの運営者が", "代理人の登録のため", "counted what is kept of you, without seeing it")
    drugs = [stage.drug("センノシド")]
    stage.step("He asks for paper; the clinic registers the copy of it")
    lines = stage.lines(clinic, doctor, patient, drugs)
    task, number = stage.registered(clinic, "\n".join(lines).encode(), "text/csv")
    stage.sees(task, "issued")
    stage.looked("register", by=clinic)
    stage.reads("read", f"代理人の{niece['name']}さんが、あなたに代わって", f"Your representative {niece['name']}, in your place,")
    stage.step("The pharmacy takes it over by insurance card and number")
    stage.check("what is delivered is the copy", stage.accepted(pharmacy, patient, number).decode().split("\n") == lines)
    stage.sees(task, "issued", "accepted", owner=pharmacy)
    stage.looked("accept", by=pharmacy)
    stage.step("Without his card nobody can ask for the list of what waits for him")
    identity = stage.world.identified(pharmacy, patient)
    stage.refused("the list stays closed", pharmacy.call("GET", "/fhir/Task", identity=identity), 403, "consent-required")
    stage.looked("search", by=pharmacy, outcome="4")
    stage.step("She lets the pharmacy have the list, in his name, and takes it back")
    kept = eyes.call("POST", "/fhir/Consent", decision(LIST, True, pharmacy))
    stage.check("it is in force", (LIST, "permit", pharmacy.code) in eyes.consents(), kept.brief())
    stage.reads("consent-put", f"代理人の{niece['name']}さんが、あなたに代わって", "in your place,")
    gone = eyes.call("DELETE", f"/fhir/Consent/{kept.resource()['id']}")
    stage.check("it is in force no more", gone.status == 204 and eyes.consents() == set(), gone.brief())
    stage.step("The pharmacist gives him his medicine and sends the result, unsigned as paper is")
    result = "\n".join(records.cj1_lines(pharmacy.persona, chemist, clinic.persona, doctor, patient, task, drugs)).encode()
    stage.dispensed(pharmacy, task, result, content_type="text/csv")
    stage.sees(task, "issued", "accepted", "dispensed", owner=pharmacy)
    stage.looked("dispense", by=pharmacy)
    stage.check("it is in his history", eyes.medicines(task) == 1, eyes.medicines(task))
    stage.step("He will go himself again, and the operator ends the mandate")
    stage.operator("mandate-end", mandate, f"--patient={patient_id}", "--evidence=本人の申し出")
    after = eyes.call("GET", f"/fhir/Task/{task}")
    stage.check("she sees nothing any more, by the same token", after.status == 401, after.brief())
    stage.check("nor does she get another", eyes.login().status == 400, eyes.login().brief())
    held = [r["id"] for r in entries(hers.call("GET", "/fhir/RelatedPerson"))]
    stage.check("nor does she hold any mandate", mandate not in held, held)


def infant(stage):
    """Mihon Mei is ten months old; the first pharmacy has nothing for her, the second has."""
    [patient] = stage.cast("見本　芽生")
    clinic, doctor, first, second, chemist = stage.cast(INTERNAL, ICHIRO, DENSHO, MIHON, ZAITA)
    stage.watch(patient)
    drugs = [stage.drug("プロペト")]
    stage.step("Dr Densho prescribes an ointment")
    task, number = stage.prescribed(clinic, doctor, patient, drugs)
    stage.sees(task, "issued")
    stage.looked("register", by=clinic)
    stage.step("The pharmacy next door takes it over and finds its shelf empty")
    stage.accepted(first, patient, number)
    stage.sees(task, "issued", "accepted", owner=first)
    stage.act(first, task, "$return", "在庫なし")
    stage.sees(task, "issued", "accepted", "issued")
    stage.looked("accept", "return", by=first)
    stage.step("The next one has it")
    delivered = stage.accepted(second, patient, number)
    stage.sees(task, "issued", "accepted", "issued", "accepted", owner=second)
    stage.dispensed(second, task, stage.result((second, chemist), (clinic, doctor), patient, task, delivered, drugs))
    stage.sees(task, "issued", "accepted", "issued", "accepted", "dispensed", owner=second)
    stage.looked("accept", "dispense", by=second)


def outside_shift_jis(stage):
    """Yoshida Tameyo, 64, bears a name that old systems cannot write."""
    [patient] = stage.cast("𠮷田　試代")
    clinic, doctor, pharmacy, chemist = (stage.cast(INTERNAL, ICHIRO, DENSHO, YAKUKO))
    eyes = stage.watch(patient)
    drugs = [stage.drug("トラゼンタ")]
    stage.step("The pharmacy verifies who she is")
    person = pharmacy.verify_identity(patient).value("patient")
    stage.check("her name is hers", patient["name"] in json.dumps(person, ensure_ascii=False))
    stage.step("Dr Densho prescribes under her very name")
    task, number = stage.prescribed(clinic, doctor, patient, drugs)
    stage.sees(task, "issued")
    kept = eyes.call("GET", f"/fhir/Task/{task}/$document", Accept="*/*")
    payload = base64.b64decode(signing.parse(kept.body).findtext(".//PrescriptionDocument")).decode()
    stage.check("it stands in what he signed", f",{patient['name']}," in payload)
    stage.step("She prints her slip")
    slip = eyes.call("GET", f"/fhir/Task/{task}/$slip", Accept="application/pdf")
    if slip.status == 200:
        try:
            from pypdf import PdfReader
        except ImportError:
            stage.world.tally.note("skipped: pypdf is not installed")
        else:
            text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(slip.body)).pages)
            stage.check("her name is written, or ■ shows that a character is missing", "𠮷" in text or "■" in text or "〓" in text)
    stage.sees(task, "issued")
    stage.step("She gets her medicine and takes her notebook along, in Shift_JIS")
    delivered = stage.accepted(pharmacy, patient, number)
    stage.dispensed(pharmacy, task, stage.result((pharmacy, chemist), (clinic, doctor), patient, task, delivered, drugs))
    stage.sees(task, "issued", "accepted", "dispensed")
    notebook = eyes.call("GET", f"/fhir/Patient/$notebook?dispense={task}", Accept="text/csv").body.decode("cp932")
    stage.check("■ stands for the character, her kana beside it", "■田　試代" in notebook and "ﾖｼﾀﾞ" in notebook)


def deceased(stage):
    """Kojin Goro died at Christmas 2025, and nobody acts in his name."""
    [patient] = stage.cast("故人　五郎")
    clinic, doctor, pharmacy = stage.cast(INTERNAL, ICHIRO, DENSHO)
    eyes = Eyes(stage.sandbox, patient)
    stage.step("Somebody shows his insurance card at a pharmacy")
    stage.world.refused_or_limited("it opens nothing", pharmacy.verify_identity(patient), 422, "identity-not-verified")
    stage.step("Somebody lays his card on the reader")
    stage.world.refused_or_limited("nor does that", stage.by_card(pharmacy, eyes, HISTORY, LIST), 422, "identity-not-verified")
    stage.step("Somebody logs in with it")
    stage.check("he sees nothing, and nobody sees through his eyes", eyes.login().status == 401, eyes.login().brief())
    stage.step("Dr Densho prescribes for him by mistake")
    refused = clinic.register(stage.signed(clinic, doctor, patient, [stage.drug("メリスロン")]))
    stage.world.refused_or_limited("nothing is registered", refused, 422, "identity-not-verified")


def allergy(stage):
    """Kabin Shiro, 47, must not have penicillins, and says so himself."""
    [patient] = stage.cast("過敏　四郎")
    clinic, dentist = stage.cast(DENTAL, HAKO)
    eyes = stage.watch(patient)
    stage.step("He enters his allergy in his own record")
    mine = {
        "resourceType": "AllergyIntolerance",
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]},
        "code": {"text": "アモキシシリン"}, "patient": {"type": "Patient"},
    }
    kept = eyes.call("POST", "/fhir/AllergyIntolerance", mine)
    listed = eyes.call("GET", "/fhir/AllergyIntolerance").body.decode()
    stage.check("he sees it, marked as his own word", kept.status in (200, 201) and "self-reported" in listed, kept.brief())
    stage.step("The dentist, who does not know, signs amoxicillin")
    refused = clinic.register(stage.signed(clinic, dentist, patient, [AMOXICILLIN], days=5))
    stage.refused("the check stands in the way", refused, 409, "medication-check-unresolved")
    kinds = {c["code"] for f in refused.findings() for c in f["code"]["coding"]}
    stage.check("because of his allergy", "ALGY" in kinds, kinds)
    found = eyes.call("GET", "/fhir/Task?_count=100&business-status=issued").body.decode()
    stage.check("he has no such prescription", AMOXICILLIN.name not in found)
    stage.looked("register", by=clinic, outcome="4")
    stage.step("She takes another medicine")
    task, _ = stage.prescribed(clinic, dentist, patient, [stage.drug("カロナール")], days=3)
    stage.sees(task, "issued")
    stage.looked("register", by=clinic)
    stage.step("He takes his word back, the test was wrong")
    gone = eyes.call("DELETE", f"/fhir/AllergyIntolerance/{kept.resource()['id']}")
    stage.check("it is gone from his record", gone.status == 204
                and kept.resource()["id"] not in eyes.call("GET", "/fhir/AllergyIntolerance").body.decode(), gone.brief())


def worker(stage):
    """Shiken Hanayo, 35, refills her medicine, and lets an app look at it for a while."""
    [patient] = stage.cast("試験　花代")
    clinic, doctor, pharmacy, chemist = (stage.cast(INTERNAL, ICHIRO, HIKIKAE, SHIRABE))
    stage.cast(stage.sandbox.apps[0]["name"])
    eyes = stage.watch(patient)
    drugs = [stage.drug("ビラノア")]
    stage.step("Dr Densho prescribes for two uses of four weeks (リフィル)")
    task, number = stage.prescribed(clinic, doctor, patient, drugs, days=28, more=["64,2"])
    stage.sees(task, "issued")
    stage.step("She has the first")
    delivered = stage.accepted(pharmacy, patient, number)
    result = stage.result((pharmacy, chemist), (clinic, doctor), patient, task, delivered, drugs, days=28)
    stage.dispensed(pharmacy, task, result)
    stage.sees(task, "issued", "accepted", "awaiting-next-use")
    stage.looked("dispense", by=pharmacy)
    stage.step("She comes back the next day already")
    identity = stage.world.identified(pharmacy, patient)
    stage.refused("it is too early", pharmacy.accept(number, identity), 409, "not-yet-due")
    stage.sees(task, "issued", "accepted", "awaiting-next-use")
    stage.step("At home she lets an app read her record")
    app = stage.sandbox.apps[0]
    token = approved(stage, eyes, app)
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/fhir+json"}
    read = stage.sandbox.send("GET", "/fhir/MedicationDispense?_count=200", None, headers)
    stage.check("the app sees what she was given", read.status == 200 and task in read.body.decode(), read.brief())
    granted = eyes.call("GET", "/oauth2/apps", Accept="application/json").json()["apps"]
    stage.check("she sees that it may", [a["client_id"] for a in granted].count(app["client_id"]) >= 1, granted)
    stage.step("She has had enough of it")
    for grant in granted:
        eyes.call("DELETE", f"/oauth2/apps/{grant['id']}", Accept="application/json")
    after = stage.sandbox.send("GET", "/fhir/MedicationDispense", None, headers)
    stage.check("the app sees nothing any more", after.status == 401, after.brief())
    stage.check("nor does she see the app", eyes.call("GET", "/oauth2/apps", Accept="application/json").json()["apps"] == [])


def approved(stage, eyes, app):
    """The whole way of an app to its token: consent screen, card, code."""
    verifier = generate_token(48)
    asked = {
        "response_type": "code", "client_id": app["client_id"], "redirect_uri": app["redirect_uri"], "state": "s",
        "scope": "patient/*.read", "code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256",
    }
    decided = urllib.parse.urlencode(asked | {"decision": "approve", "card_assertion": eyes.card()})
    answer = stage.sandbox.send("POST", "/oauth2/authorize", decided.encode(), FORM)
    sent = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer.headers.get("location", "")).query))
    form = {"grant_type": "authorization_code", "client_id": app["client_id"], "redirect_uri": app["redirect_uri"],
            "code": sent["code"], "code_verifier": verifier}
    return stage.sandbox.token_request(form).json()["access_token"]


def child(stage):
    """Shiken Shota, 9, has his mother's insurance and his own record; his dose is put right in time."""
    patient, mother = stage.cast("試験　小太", "試験　花代")
    clinic, doctor, pharmacy, chemist = (stage.cast(INTERNAL, ICHIRO, DENSHO, YAKUKO))
    eyes = stage.watch(patient)
    drugs = [stage.drug("モンテルカスト")]
    stage.step("Dr Densho prescribes fourteen days")
    task, number = stage.prescribed(clinic, doctor, patient, drugs, days=14)
    stage.sees(task, "issued")
    stage.step("He sees that seven are enough, and the clinic puts another document in its place")
    better = stage.signed(clinic, doctor, patient, drugs, days=7)

    def amend():
        return clinic.call("POST", f"/fhir/Task/{task}/$amend", better, "application/xml")

    answer, _ = clinic._resolving(amend)
    stage.check("it is amended", answer.status == 200, answer.brief())
    stage.sees(task, "issued", "issued")
    stage.looked("amend", by=clinic)
    stage.check("the number stays", eyes.number(task) == number)
    stage.step("His mother shows her own insurance card")
    stage.refused("by her card the number is none", pharmacy.accept(number, stage.world.identified(pharmacy, mother)),
                  422, "exchange-number-unknown")
    stage.sees(task, "issued", "issued")
    stage.step("And then his: the same symbol and number, another branch")
    delivered = stage.accepted(pharmacy, patient, number)
    stage.dispensed(pharmacy, task, stage.result((pharmacy, chemist), (clinic, doctor), patient, task, delivered, drugs))
    stage.sees(task, "issued", "issued", "accepted", "dispensed", owner=pharmacy)
    stage.looked("accept", "dispense", by=pharmacy)
    old = eyes.call("GET", f"/fhir/Task/{task}/$document?version=2", Accept="*/*")
    stage.check("the document in force is the second", old.body == better, old.brief())
    represented(stage, mother, task)


def represented(stage, persona, task):
    """A patient lets somebody read for them for a while (代理人)."""
    eyes, mother = stage.eyes, Eyes(stage.sandbox, persona)
    stage.step("With his card at her telephone, his mother may look after his record for a month")
    mandate = {
        "resourceType": "RelatedPerson",
        "extension": [{"url": "https://hikikae.dev/fhir/StructureDefinition/mandate-scope", "valueCode": "read"}],
        "identifier": [{"system": "https://hikikae.dev/fhir/patient-id", "value": mother.id()}],
        "relationship": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "PRN"}]}],
        "period": {"end": (datetime.now(timezone.utc) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")},
    }
    given = eyes.call("POST", "/fhir/RelatedPerson", mandate)
    listed = [r["id"] for r in entries(eyes.call("GET", "/fhir/RelatedPerson"))]
    stage.check("he sees the mandate", given.status == 201 and given.resource()["id"] in listed, given.brief())
    stage.reads("mandate-add", "あなたが、代理人を定めました。", f"The representative is {persona['name']}.")
    stage.step("She logs in with her own card, for him")
    acting = ActingFor(stage.sandbox, persona, eyes.id())
    shown, _, history = acting.view(task)
    stage.check("she sees what he sees", (business_state(shown), len(history)) == ("dispensed", 4), history)
    stage.reads("read", f"代理人の{persona['name']}さんが、あなたに代わって", f"Your representative {persona['name']}, in your place,")
    stage.step("The month is over sooner")
    ended = eyes.call("DELETE", f"/fhir/RelatedPerson/{given.resource()['id']}")
    stage.reads("mandate-end", "あなたが、代理を終わらせました。", f"代理人は{persona['name']}さん")
    after = acting.call("GET", f"/fhir/Task/{task}")
    stage.check("she sees nothing any more, by the same token", (ended.status, after.status) == (204, 401), after.brief())


def elder(stage):
    """Mihon Ume, 90, gets part of her medicine today; then her physician thinks of something else."""
    [patient] = stage.cast("見本　梅")
    clinic, doctor, pharmacy, chemist = (stage.cast(HOSPITAL, SABURO, MIHON, ZAITA))
    eyes = stage.watch(patient)
    drugs = [stage.drug("エリキュース")]
    origin, at = (clinic, doctor), (pharmacy, chemist)
    stage.step("Dr Hikikae prescribes four weeks")
    task, number = stage.prescribed(clinic, doctor, patient, drugs, days=28)
    stage.sees(task, "issued")
    stage.step("The pharmacist gives her one week, more she cannot keep apart")
    delivered = stage.accepted(pharmacy, patient, number)
    part = stage.result(at, origin, patient, task, delivered, drugs, days=7)
    stage.dispensed(pharmacy, task, part, "$dispense?final=false&important=true")
    stage.sees(task, "issued", "accepted", "partly-dispensed", owner=pharmacy)
    stage.check("one part is in her history", eyes.medicines(task) == 1, eyes.medicines(task))
    stage.step("It was six days, as the pharmacist sees in the evening")
    right = stage.result(at, origin, patient, task, delivered, drugs, days=6)
    stage.dispensed(pharmacy, task, right, "$amend-dispense?version=1")
    stage.sees(task, "issued", "accepted", "partly-dispensed", "partly-dispensed")
    stage.looked("amend-dispense", by=pharmacy)
    stage.check("still one", eyes.medicines(task) == 1, eyes.medicines(task))
    stage.step("The medicine comes back unopened, and nothing more is to be given")
    stage.act(pharmacy, task, "$withdraw-dispense")
    stage.sees(task, "issued", "accepted", "partly-dispensed", "partly-dispensed", "accepted")
    stage.check("none is in her history", eyes.medicines(task) == 0, eyes.medicines(task))
    stage.act(pharmacy, task, "$collect")
    stage.sees(task, "issued", "accepted", "partly-dispensed", "partly-dispensed", "accepted", "collected")
    stage.looked("withdraw-dispense", "collect", by=pharmacy)


def national(stage):
    """Hikikae Sakura, 25, lets her pharmacy see what waits for her, and nobody else."""
    [patient] = stage.cast("引換　桜")
    clinic, doctor, pharmacy, other = stage.cast(INTERNAL, ICHIRO, DENSHO, MIHON)
    eyes = stage.watch(patient)
    drugs = [stage.drug("ミヤＢＭ")]
    stage.step("At home she decides: her pharmacy may have the list of her prescriptions")
    kept = eyes.call("POST", "/fhir/Consent", decision(LIST, True, pharmacy))
    stage.check("it is in force", (LIST, "permit", pharmacy.code) in eyes.consents(), kept.brief())
    stage.step("Dr Densho prescribes; she forgets the number at once")
    task, _ = stage.prescribed(clinic, doctor, patient, drugs)
    stage.sees(task, "issued")
    stage.step("Another pharmacy asks what she has")
    identity = stage.world.identified(other, patient)
    stage.refused("it is not told", other.call("GET", "/fhir/Task", identity=identity), 403, "consent-required")
    stage.sees(task, "issued")
    stage.step("Hers finds the prescription and takes it over without a number")
    identity = stage.world.identified(pharmacy, patient)
    listed = pharmacy.call("GET", "/fhir/Task?_count=100", identity=identity)
    stage.check("it is in the list, the number is not", task in listed.body.decode()
                and exchange_number(next(e["resource"] for e in listed.resource()["entry"] if e["resource"]["id"] == task)) is None)
    accepted = pharmacy.operate("/fhir/Task/$accept", parameters(prescription=task), identity=identity)
    stage.check("accepted", business_state(accepted.value("task") or {}) == "accepted", accepted.brief())
    stage.sees(task, "issued", "accepted", owner=pharmacy)
    stage.looked("search", "accept", by=pharmacy, basis="standing")
    stage.step("She changes her mind and refuses, and the pharmacy gives back what it has")
    eyes.call("POST", "/fhir/Consent", decision(LIST, False, pharmacy))
    stage.check("the refusal is in force", (LIST, "deny", pharmacy.code) in eyes.consents(), eyes.consents())
    stage.refused("the list is closed at once", pharmacy.call("GET", "/fhir/Task", identity=identity), 403, "consent-required")
    stage.act(pharmacy, task, "$return")
    stage.sees(task, "issued", "accepted", "issued")
    for consent in eyes.call("GET", "/fhir/Consent").resource().get("entry") or []:
        eyes.call("DELETE", f"/fhir/Consent/{consent['resource']['id']}")
    stage.check("she leaves nothing behind", eyes.consents() == set(), eyes.consents())


PATIENTS = [hanako, rich, insurer_changed, no_card, infant, outside_shift_jis, deceased, allergy, worker, child, elder, national]
