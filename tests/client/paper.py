"""What a patient takes along: the slip as PDF, the medicine notebook as text and as QR codes.

The notebook is parsed here from its published layout. PDF text, rendering and QR decoding are other people's programs:
pypdf, poppler's pdftoppm, zxing-cpp with Pillow; what is not installed is said and skipped.
"""

import base64
import io
import re
import shutil
import subprocess

from exchange_client import exchange_number

MODULE = 6  # pixels


def optional(world, *names):
    """The modules, or None when one is missing."""
    try:
        return [__import__(name, fromlist=["_"]) for name in names]
    except ImportError as missing:
        world.tally.note(f"skipped: {missing.name} is not installed")
        return None


def notebook_records(world, data, version="JAHISTC08"):
    """The records of a JAHISTC text, checked as far as any reader must."""
    text = data.decode("cp932")
    world.check("notebook: every line ends in CR LF", text.endswith("\r\n") and text.count("\n") == text.count("\r\n"))
    records = [line.split(",") for line in text.split("\r\n")[:-1]]
    world.check(f"notebook: {version}, to the patient", records[0] == [version, "1"], records[0])
    numbers = [int(record[0]) for record in records[1:]]
    world.check("notebook: patient first, then dispensings", numbers[0] == 1 and 5 in numbers, numbers)
    width = {1: 11, 5: 3, 11: 9, 15: 4, 51: 6, 55: 4, 201: 8, 281: 4, 291: 4, 301: 9, 311: 4, 391: 4, 401: 3, 411: 4,
             421: 3, 501: 3}
    odd = [record for record in records[1:] if width.get(int(record[0])) != len(record)]
    world.check("notebook: records have their items", not odd, [record[0] for record in odd])
    days = [record[1] for record in records if record[0] == "5"]
    world.check("notebook: newest dispensing first", days == sorted(days, reverse=True), days)
    return records


def modules_of(svg):
    """The pixels of the only drawing in an SVG of horizontal runs, as rows of 0 and 255."""
    width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', svg).groups())
    rows = [[255] * width for _ in range(height)]
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1", svg):
        for column in range(int(x), int(x) + int(length)):
            rows[int(y)][column] = 0
    return width, height, rows


def decoded(zxing, image):
    return [bytes(code.bytes) for code in zxing.read_barcodes(image)]


def joined(parts):
    """The records of all parts without what the parts repeat, as a set: which there are, not in which order."""
    return {line for part in parts for line in part.decode("cp932").split("\r\n") if line and not line.startswith("911,")}


def slip(world, clinic, patient, task, number):
    answer = clinic.call("GET", f"/fhir/Task/{task}/$slip", headers={"Accept": "application/pdf"})
    if answer.status == 406:
        world.tally.note("skipped: the server has no font of slips")
        return
    world.check("slip: PDF", answer.status == 200 and answer.body.startswith(b"%PDF-"), answer.brief())
    again = clinic.call("GET", f"/fhir/Task/{task}/$slip", headers={"Accept": "application/pdf"})
    world.check("slip: the same bytes again", again.body == answer.body)
    if modules := optional(world, "pypdf"):
        pages = modules[0].PdfReader(io.BytesIO(answer.body)).pages
        text = re.sub(r"\s", "", "".join(page.extract_text() for page in pages))
        for said in ("処方内容（控え）", number, re.sub(r"\s", "", patient["name"]), "使用期限", "Exchangenumber"):
            world.check("slip: says what it must", said in text)
    if not shutil.which("pdftoppm"):
        world.tally.note("skipped: pdftoppm is not installed")
    elif modules := optional(world, "zxingcpp", "PIL.Image"):
        zxing, images = modules
        page = subprocess.run(["pdftoppm", "-gray", "-r", "200", "-singlefile", "-"], input=answer.body,
                              capture_output=True, check=True).stdout
        codes = decoded(zxing, images.open(io.BytesIO(page)))
        line = ",".join([patient["insurer_number"], patient.get("symbol") or "", patient["number"],
                         patient.get("branch_number") or "", patient["birth_date"].replace("-", ""), number])
        world.check("slip: QR code on the rendered page", codes == [line.encode("cp932")], len(codes))


def notebook(world, pharmacy, task, drugs, version=None):
    path = f"/fhir/Patient/$notebook?dispense={task}" + (f"&version={version}" if version else "")
    answer = pharmacy.call("GET", path, headers={"Accept": "text/csv"})
    world.check("notebook: Shift_JIS text", answer.status == 200
                and answer.headers.get("content-type") == "text/csv; charset=Shift_JIS", answer.brief())
    records = notebook_records(world, answer.body, version or "JAHISTC08")
    names = [record[2] for record in records if record[0] == "201"]
    world.check("notebook: the drugs that were dispensed", names == [drug.name for drug in drugs], len(names))
    drawn = pharmacy.call("GET", path, headers={"Accept": "image/svg+xml"})
    world.check("notebook: SVG", drawn.status == 200 and drawn.body.startswith(b"<svg"), drawn.brief())
    if modules := optional(world, "zxingcpp", "PIL.Image"):
        zxing, images = modules
        width, height, rows = modules_of(drawn.body.decode())
        image = images.new("L", (width, height))
        image.putdata([pixel for row in rows for pixel in row])
        codes = decoded(zxing, image.resize((width * MODULE, height * MODULE), images.NEAREST))
        if len(codes) == 1:
            world.check("notebook: QR code holds the same bytes", codes == [answer.body])
        else:
            world.check("notebook: QR codes hold the same records", joined(codes) == joined([answer.body]), len(codes))
    return records[1:]


def paper(world):
    clinic, pharmacy, patient, drugs = world.clinics[0], world.pharmacies[0], world.patients[0], world.drugs[:2]
    _, registered = world.registered(0, patient, drugs)
    task, number = registered["id"], exchange_number(registered)
    slip(world, clinic, patient, task, number)
    accepted = pharmacy.accept(number, world.identified(pharmacy, patient))
    world.refused("a pharmacy gets no slip", pharmacy.call("GET", f"/fhir/Task/{task}/$slip", headers={"Accept": "*/*"}), 403,
                  "not-permitted")
    delivered = base64.b64decode(accepted.value("document")["data"])
    pharmacy.dispense_resolving(task, world.dispensing(0, 0, patient, task, delivered, drugs))
    current = notebook(world, pharmacy, task, drugs)
    before = notebook(world, pharmacy, task, drugs, "JAHISTC07")
    world.check("notebook: both versions say the same of a dispensing", before == current)
    path = f"/fhir/Patient/$notebook?dispense={task}"
    older = pharmacy.call("GET", f"{path}&version=JAHISTC06", headers={"Accept": "text/csv"})
    world.refused("no notebook of a version that is not written", older, 400, "malformed")
    stranger = world.pharmacies[1].call("GET", path, headers={"Accept": "text/csv"})
    world.refused("another pharmacy finds no notebook", stranger, 404, "not-found")
    world.refused("a clinic gets no notebook", clinic.call("GET", path, headers={"Accept": "text/csv"}), 403, "not-permitted")
