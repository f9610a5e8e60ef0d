#!/usr/bin/python3
"""Tries this client's own signing offline: `selftest.py [DOCUMENT …]`.

Signs documents with throw-away RSA and EC keys, verifies them with this client's verifier and, where `xmlsec1` is
installed, with that. Foreign EPS documents given as arguments are verified as well.
"""

import datetime
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

import records
import signing

XMLSEC_IDS = [
    "--id-attr:id", "PrescriptionDocument", "--id-attr:id", "Dispensing",
    "--id-attr:Id", f"{signing.DS}:KeyInfo", "--id-attr:Id", f"{signing.DS}:Signature",
    "--id-attr:Id", f"{signing.XADES}:SignedProperties",
]


def throw_away(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "throw-away")])
    start = datetime.datetime.now() - datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + datetime.timedelta(days=30))
    return signing.Identity(builder.sign(key, hashes.SHA256()), key)


def xmlsec_agrees(document, signature_id, identity):
    with tempfile.TemporaryDirectory() as directory:
        cert, path = Path(directory, "cert.pem"), Path(directory, "document.xml")
        cert.write_bytes(identity.cert.public_bytes(serialization.Encoding.PEM))
        path.write_bytes(document)
        command = ["xmlsec1", "--verify", "--trusted-pem", cert, "--insecure", *XMLSEC_IDS, "--node-id", signature_id, path]
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


def main():
    xmlsec = shutil.which("xmlsec1")
    if not xmlsec:
        print("xmlsec1 is not installed: signatures are checked by this client alone")
    failed = 0
    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())):
        identity = throw_away(key)
        prescription = signing.prescription_xml("SJ1\n11,,試験　太郎,".encode(), identity, signing.Odd(pretty=True))
        dispensing = signing.dispensing_xml(b"CJ1,", prescription, identity)
        for document, mark, covered in (
            (prescription, "PrescriptionSign", "PrescriptionDocument"),
            (dispensing, "PrescriptionSign", "PrescriptionDocument"),
            (dispensing, "DispensingSign", "Dispensing"),
        ):
            signing.verify(document, mark, covered)
            agrees = not xmlsec or xmlsec_agrees(document, mark, identity)
            failed += not agrees
            print(f"{type(key).__name__} {covered} {mark}: {'ok' if agrees else 'FAILED xmlsec1 disagrees'}")
        for changed in (prescription.replace(b">U0ox", b">U0oy"), prescription.replace(b"SigningTime>2", b"SigningTime>3")):
            try:
                signing.verify(changed, "PrescriptionSign", "PrescriptionDocument")
                failed += 1
                print("changed document: FAILED it verified")
            except signing.BadSignature as error:
                print(f"changed document is refused ({error}): ok")
    for path in sys.argv[1:]:
        cert = signing.verify(Path(path).read_bytes(), "PrescriptionSign", "PrescriptionDocument")
        print(f"{Path(path).name}: ok, signed by {cert.subject.rfc4514_string()}")
    folded = records.half_width("デンショ　ゆうこうごぱ")
    failed += folded != "ﾃﾞﾝｼｮ ﾕｳｺｳｺﾞﾊﾟ"
    print(f"half-width kana: {'ok' if folded == 'ﾃﾞﾝｼｮ ﾕｳｺｳｺﾞﾊﾟ' else 'FAILED ' + folded}")
    print(f"{'FAILED' if failed else 'passed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
