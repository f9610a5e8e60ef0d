"""EPS XML envelopes and their XAdES-BES signatures: building, signing and verifying.

Owns canonicalisation, digests and certificates. Knows nothing of HTTP, CSV records or the exchange's rules.
It is written from the published profile alone, so that it and the server can only agree by both being right.
"""

import base64
import hashlib
import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from lxml import etree

DS = "http://www.w3.org/2000/09/xmldsig#"
XADES = "http://uri.etsi.org/01903/v1.3.2#"
EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
INC_C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
ECDSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
SIGNED_PROPERTIES = "http://uri.etsi.org/01903#SignedProperties"
XSI = "http://www.w3.org/2001/XMLSchema-instance"


class Identity:
    """A certificate with its private key: a person's or a facility's."""

    def __init__(self, cert, key, chain=()):
        self.cert, self.key, self.chain = cert, key, list(chain)

    @classmethod
    def load(cls, cert_path, key_path, chain_paths=()):
        certs = []
        for path in [cert_path, *chain_paths]:
            pem = path.read_bytes()
            certs += [x509.load_pem_x509_certificate(part) for part in _pem_blocks(pem)]
        unique = list({c.fingerprint(hashes.SHA256()): c for c in certs}.values())
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        return cls(unique[0], key, unique[1:])

    @property
    def der(self):
        return self.cert.public_bytes(serialization.Encoding.DER)


def _pem_blocks(pem):
    return re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\s*", pem, re.S)


def parse(document):
    """Parses without resolving entities or touching the network."""
    return etree.fromstring(document, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))


def by_id(root, wanted):
    """The one element bearing `wanted` as `id` or `Id`; anything but one is an error."""
    found = [e for e in root.iter(etree.Element) if wanted in (e.get("id"), e.get("Id"))]
    if len(found) != 1:
        raise ValueError(f"{len(found)} elements with id {wanted}")
    return found[0]


def canonical(element, exclusive):
    return etree.tostring(element, method="c14n", exclusive=exclusive, with_comments=False)


def digest(element, exclusive):
    return base64.b64encode(hashlib.sha256(canonical(element, exclusive)).digest()).decode()


def raw_sign(key, data):
    """A signature in the XML and JOSE byte layout: PKCS#1 v1.5 for RSA, r‖s for EC."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    width = (key.curve.key_size + 7) // 8
    return r.to_bytes(width, "big") + s.to_bytes(width, "big")


def raw_verify(public_key, signature, data):
    if isinstance(public_key, rsa.RSAPublicKey):
        public_key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        return
    half = len(signature) // 2
    encoded = utils.encode_dss_signature(
        int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    )
    public_key.verify(encoded, data, ec.ECDSA(hashes.SHA256()))


@dataclass
class Odd:
    """Departures from the profile, for documents that must be refused."""

    payload_uri: str | None = None
    payload_transforms: list = field(default_factory=list)
    omit_payload: bool = False
    signature_method: str | None = None
    signature_value: bytes | None = None
    certified: Identity | None = None  # whose certificate SigningCertificateV2 names
    key_info: Identity | None = None  # whose certificate KeyInfo carries
    pretty: bool = False


def prescription_xml(payload, identity, odd=None, signed_at=None):
    """A signed 電子処方箋 as a clinic sends it: no PrescriptionId, no conversion codes yet."""
    encoded = base64.b64encode(payload).decode()
    gap = "\n\t" if odd and odd.pretty else ""
    shell = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<Document xmlns:xsi="{XSI}" id="Document" xsi:noNamespaceSchemaLocation="EP.xsd">{gap}<Prescription>{gap}'
        f'<PrescriptionManagement id="PrescriptionManagement"><Version Value="EPS1.0"/></PrescriptionManagement>{gap}'
        f'<PrescriptionDocument id="PrescriptionDocument">{encoded}</PrescriptionDocument>{gap}'
        f"<PrescriptionSign>@SIGNATURE@</PrescriptionSign>{gap}</Prescription>{gap}</Document>"
    )
    return sign(shell, "PrescriptionDocument", "PrescriptionSign", identity, odd, signed_at)


def dispensing_xml(payload, reference, identity, odd=None, signed_at=None):
    """A signed 調剤結果. `reference` is the delivered prescription document, whole, or None for an intermediate part."""
    embedded = "" if reference is None else prescription_content(reference)
    encoded = base64.b64encode(payload).decode()
    shell = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<Document xmlns:xsi="{XSI}" id="Document" xsi:noNamespaceSchemaLocation="ED.xsd">'
        '<DispensingManagement id="DispensingManagement"><Version Value="EPD1.0"/></DispensingManagement>'
        f'<Dispensing id="Dispensing"><ReferencePrescription>{embedded}</ReferencePrescription>'
        f'<DispensingDocument id="DispensingDocument">{encoded}</DispensingDocument></Dispensing>'
        "<DispensingSign>@SIGNATURE@</DispensingSign></Document>"
    )
    return sign(shell, "Dispensing", "DispensingSign", identity, odd, signed_at)


def prescription_content(document):
    """What stands between <Prescription> and </Prescription>, byte for byte."""
    text = document.decode("utf-8")
    start = text.index("<Prescription>") + len("<Prescription>")
    return text[start : text.rindex("</Prescription>")]


def sign(shell, target, signature_id, identity, odd=None, signed_at=None):
    """Puts a XAdES-BES signature over element `target` at the shell's mark and returns the document's bytes."""
    odd = odd or Odd()
    mark = uuid.uuid4().hex[:8]
    key_info_id, properties_id = f"K{mark}", f"P{mark}"
    when = (signed_at or datetime.now(timezone.utc)).strftime("%Y-%m-%dT%H:%M:%SZ")
    der = (odd.key_info or identity).der
    certified = base64.b64encode(hashlib.sha256((odd.certified or identity).der).digest()).decode()
    method = odd.signature_method or (
        RSA_SHA256 if isinstance(identity.key, rsa.RSAPrivateKey) else ECDSA_SHA256
    )

    def reference(uri, mark, transforms, kind=""):
        listed = "".join(transforms if kind == "payload" else [f'<ds:Transform Algorithm="{EXC_C14N}"/>'])
        return (
            f'<ds:Reference URI="{uri}"{mark}>'
            + (f"<ds:Transforms>{listed}</ds:Transforms>" if listed else "")
            + f'<ds:DigestMethod Algorithm="{SHA256}"/><ds:DigestValue>@{kind}@</ds:DigestValue></ds:Reference>'
        )

    references = "" if odd.omit_payload else reference(
        odd.payload_uri if odd.payload_uri is not None else f"#{target}", "", odd.payload_transforms, "payload"
    )
    references += reference(f"#{key_info_id}", "", [], "key")
    references += reference(f"#{properties_id}", f' Type="{SIGNED_PROPERTIES}"', [], "properties")
    signature = (
        f'<ds:Signature xmlns:ds="{DS}" Id="{signature_id}"><ds:SignedInfo>'
        f'<ds:CanonicalizationMethod Algorithm="{EXC_C14N}"/><ds:SignatureMethod Algorithm="{method}"/>'
        f'{references}</ds:SignedInfo><ds:SignatureValue Id="V{mark}">@value@</ds:SignatureValue>'
        f'<ds:KeyInfo Id="{key_info_id}"><ds:X509Data><ds:X509Certificate>{base64.b64encode(der).decode()}'
        "</ds:X509Certificate></ds:X509Data></ds:KeyInfo><ds:Object>"
        f'<xades:QualifyingProperties xmlns:xades="{XADES}" Target="#{signature_id}">'
        f'<xades:SignedProperties Id="{properties_id}"><xades:SignedSignatureProperties>'
        f"<xades:SigningTime>{when}</xades:SigningTime><xades:SigningCertificateV2><xades:Cert><xades:CertDigest>"
        f'<ds:DigestMethod Algorithm="{SHA256}"/><ds:DigestValue>{certified}</ds:DigestValue>'
        "</xades:CertDigest></xades:Cert></xades:SigningCertificateV2></xades:SignedSignatureProperties>"
        "</xades:SignedProperties></xades:QualifyingProperties></ds:Object></ds:Signature>"
    )
    text = shell.replace("@SIGNATURE@", signature)
    root = parse(text.encode())
    exclusive = any(EXC_C14N in t for t in odd.payload_transforms)
    text = text.replace("@payload@", digest(by_id(root, target), exclusive))
    text = text.replace("@key@", digest(by_id(root, key_info_id), True))
    text = text.replace("@properties@", digest(by_id(root, properties_id), True))
    marked = [s for s in parse(text.encode()).iter(f"{{{DS}}}Signature") if s.get("Id") == signature_id]
    value = odd.signature_value or raw_sign(identity.key, canonical(marked[-1].find(f"{{{DS}}}SignedInfo"), True))
    return text.replace("@value@", base64.b64encode(value).decode()).encode()


class BadSignature(Exception):
    """The document's signature does not stand; the message says which check failed."""


def verify(document, signature_id, must_cover):
    """Checks every reference digest, the signature value, the signing certificate and that `must_cover` is covered.

    Returns the signer's certificate. Trust in that certificate is not this function's matter.
    """
    root = parse(document) if isinstance(document, bytes) else document
    signature = by_id(root, signature_id)
    info = signature.find(f"{{{DS}}}SignedInfo")
    covered = set()
    for ref in info.findall(f"{{{DS}}}Reference"):
        wanted = ref.get("URI", "").removeprefix("#")
        algorithms = [t.get("Algorithm") for t in ref.iter(f"{{{DS}}}Transform")]
        if any(a not in (EXC_C14N, INC_C14N) for a in algorithms):
            raise BadSignature(f"transform {algorithms}")
        if ref.find(f"{{{DS}}}DigestMethod").get("Algorithm") != SHA256:
            raise BadSignature("digest method")
        stated = "".join(ref.findtext(f"{{{DS}}}DigestValue").split())
        if digest(by_id(root, wanted), EXC_C14N in algorithms) != stated:
            raise BadSignature(f"digest of {wanted}")
        covered.add(wanted)
    if must_cover not in covered:
        raise BadSignature(f"{must_cover} is not covered")
    der = base64.b64decode(signature.findtext(f"{{{DS}}}KeyInfo/{{{DS}}}X509Data/{{{DS}}}X509Certificate"))
    cert = x509.load_der_x509_certificate(der)
    named = signature.findtext(f".//{{{XADES}}}CertDigest/{{{DS}}}DigestValue")
    if base64.b64decode(named) != hashlib.sha256(der).digest():
        raise BadSignature("SigningCertificateV2 names another certificate")
    properties = signature.find(f".//{{{XADES}}}SignedProperties").get("Id")
    if properties not in covered:
        raise BadSignature("SignedProperties are not covered")
    exclusive = info.find(f"{{{DS}}}CanonicalizationMethod").get("Algorithm") == EXC_C14N
    value = base64.b64decode(signature.findtext(f"{{{DS}}}SignatureValue"))
    try:
        raw_verify(cert.public_key(), value, canonical(info, exclusive))
    except InvalidSignature as error:
        raise BadSignature("SignatureValue") from error
    return cert
