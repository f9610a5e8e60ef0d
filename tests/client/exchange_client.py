"""A client of the exchange: personas, tokens, identity and every prescription call, over plain HTTP/1.1.

Knows the contract's paths, headers and shapes. Holds no opinion on what an answer should be: that is the scenarios'.
"""

import base64
import gzip
import http.client
import json
import re
import threading
import time
import urllib.parse
import uuid
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

import judges
import signing

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FHIR_JSON = "application/fhir+json"
ERROR_SYSTEM = "https://hikikae.dev/fhir/CodeSystem/error"
STATE_SYSTEM = "https://hikikae.dev/fhir/CodeSystem/prescription-state"
NUMBER_SYSTEM = "https://hikikae.dev/fhir/exchange-number"
LEASE_END = "https://hikikae.dev/fhir/StructureDefinition/lease-end"
ERROR_CODES = set(
    """malformed token-missing token-invalid not-permitted consent-required role-mismatch not-found method-not-allowed
    not-acceptable too-large unsupported-media-type held-by-pharmacy already-dispensed cancelled expired not-yet-due
    medication-check-unresolved duplicate-document state-conflict version-mismatch document-invalid signature-invalid
    signature-mismatch certificate-untrusted certificate-expired certificate-revoked signer-role identity-not-verified
    exchange-number-unknown document-mismatch idempotency-key-reused too-many-requests too-many-attempts
    revocation-unavailable overloaded database-unavailable""".split()
)
# Connections idle for longer are replaced before use, so that no write is ever sent twice.
IDLE_SECONDS = 2.0
PATIENCE_SECONDS = 10


class Answer:
    """Status, headers (lower-case names) and body of one answer, with the time it took in seconds."""

    def __init__(self, status, headers, body, elapsed):
        self.status, self.headers, self.body, self.elapsed = status, headers, body, elapsed

    def json(self):
        return json.loads(self.body)

    def resource(self):
        """The JSON object in the body, or an empty one."""
        try:
            value = self.json()
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def etag(self):
        return self.headers.get("etag")

    def issues(self):
        body = self.resource()
        if body.get("resourceType") != "OperationOutcome":
            return []
        return body.get("issue") or []

    def codes(self):
        """The contract's error codes in an OperationOutcome, in order."""
        return [
            coding.get("code")
            for issue in self.issues()
            for coding in (issue.get("details") or {}).get("coding") or []
            if coding.get("system") == ERROR_SYSTEM
        ]

    def expressions(self):
        return [e for issue in self.issues() for e in issue.get("expression") or []]

    def findings(self):
        """The DetectedIssues contained in a refusal."""
        contained = self.resource().get("contained") or []
        return [c for c in contained if c.get("resourceType") == "DetectedIssue"]

    def parameter(self, name):
        for part in self.resource().get("parameter") or []:
            if part.get("name") == name:
                return part
        return None

    def value(self, name):
        """A parameter's value[x], or its resource."""
        part = self.parameter(name) or {}
        if "resource" in part:
            return part["resource"]
        return next((v for k, v in part.items() if k.startswith("value")), None)

    def brief(self):
        text = self.body[:160].decode("utf-8", "replace").replace("\n", " ")
        return f"{self.status} {','.join(dict.fromkeys(map(str, self.codes()))) or text}"


class Wire:
    """Keep-alive connections, one per thread. `paths` are sent as they are, so that odd ones reach the server."""

    def __init__(self, base_url):
        parts = urllib.parse.urlsplit(base_url)
        self.tls, self.host, self.port = parts.scheme == "https", parts.hostname, parts.port
        self.local = threading.local()

    def _connection(self):
        kept = getattr(self.local, "kept", None)
        if kept and time.monotonic() - kept[1] < IDLE_SECONDS:
            return kept[0]
        if kept:
            kept[0].close()
        kind = http.client.HTTPSConnection if self.tls else http.client.HTTPConnection
        return kind(self.host, self.port, timeout=30)

    def drop(self):
        kept = getattr(self.local, "kept", None)
        if kept:
            kept[0].close()
        self.local.kept = None

    def send(self, method, path, headers, body):
        connection = self._connection()
        started = time.monotonic()
        try:
            connection._validate_path = lambda _: None  # hostile paths are the point
            try:
                connection.request(method, path, body=body, headers=headers)
            except (BrokenPipeError, ConnectionResetError):
                pass  # a server may answer before it has read everything
            response = connection.getresponse()
            data = response.read()
        except Exception:
            connection.close()
            self.local.kept = None
            raise
        elapsed = time.monotonic() - started
        if response.will_close:
            connection.close()
            self.local.kept = None
        else:
            self.local.kept = (connection, time.monotonic())
        headers = {k.lower(): v for k, v in response.getheaders()}
        if headers.get("content-encoding") == "gzip":
            data = gzip.decompress(data)
        return Answer(response.status, headers, data, elapsed)


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(identity, claims, header=None, sign=None):
    """A compact JWS with `x5c`. `header` overrides fields; `sign` replaces the signing function."""
    algorithm = "RS256" if isinstance(identity.key, rsa.RSAPrivateKey) else "ES256"
    chain = [identity.der] + [c.public_bytes(serialization.Encoding.DER) for c in identity.chain]
    fields = {"alg": algorithm, "typ": "JWT", "x5c": [base64.b64encode(c).decode() for c in chain]} | (header or {})
    fields = {k: v for k, v in fields.items() if v is not None}
    signed = f"{b64url(json.dumps(fields).encode())}.{b64url(json.dumps(claims).encode())}"
    signature = (sign or (lambda data: signing.raw_sign(identity.key, data)))(signed.encode())
    return f"{signed}.{b64url(signature)}"


def pss_sign(identity):
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    return lambda data: identity.key.sign(data, pss, hashes.SHA256())


def parameters(**values):
    """A Parameters body; None is left out, `birthDate` is a date, everything else a string."""
    listed = [
        {"name": name, "valueDate" if name == "birthDate" else "valueString": value}
        for name, value in values.items()
        if value is not None
    ]
    return json.dumps({"resourceType": "Parameters", "parameter": listed}, ensure_ascii=False).encode()


class Sandbox:
    """The directory of personas and everything said to the server on their behalf."""

    def __init__(self, directory):
        self.directory = Path(directory)
        data = json.loads((self.directory / "personas.json").read_text("utf-8"))
        self.base_url = data["base_url"].rstrip("/")
        self.wire = Wire(self.base_url)
        self.judges = judges.Judges(self.wire)
        self.facilities, self.practitioners, self.patients = data["facilities"], data["practitioners"], data["patients"]
        self.apps = data["apps"]
        self.private, self.leaks, self.server_errors, self.retried = set(), [], [], 0
        for patient in self.patients:
            self.keep_private(patient["name"], patient["name"].replace(" ", "").replace("　", ""), patient["number"])
            self.keep_private(patient["birth_date"], patient["birth_date"].replace("-", ""))
            if patient.get("kana"):
                self.keep_private(patient["kana"])

    def keep_private(self, *texts):
        """From now on no refusal may contain these."""
        self.private |= {t for t in texts if t and (len(t) >= 5 or not t.isascii())}
        self.pattern = None

    def private_pattern(self):
        """Any of the private texts, standing alone: digits inside a UUID or a time are no leak."""
        if self.pattern is None:
            texts = "|".join(map(re.escape, sorted(self.private)))
            self.pattern = re.compile(rf"(?<![0-9A-Za-z.:-])(?:{texts})(?![0-9A-Za-z-])")
        return self.pattern

    def of_kind(self, *kinds):
        return [Actor(self, f) for f in self.facilities if f["kind"] in kinds]

    def people(self, role, facility=None):
        """Practitioners of a role, those of the facility first."""
        found = [p for p in self.practitioners if p["role"] == role]
        return sorted(found, key=lambda p: p.get("facility") != facility)

    def identity(self, persona):
        chain = [self.directory / c for c in persona.get("chain") or []]
        return signing.Identity.load(self.directory / persona["cert"], self.directory / persona["key"], chain)

    def send(self, method, path, body=None, headers=None):
        """One exchange of messages; every answer is judged, every refusal searched for personal data."""
        answer = self.wire.send(method, path, headers or {}, body)
        self.judges.judge(method, path, answer)
        if answer.status >= 400:
            text = answer.body.decode("utf-8", "replace")
            if self.private_pattern().search(text):
                self.leaks.append(f"{method} {path.split('?')[0]} {answer.status} {','.join(map(str, answer.codes()))}")
            if answer.status >= 500 and answer.status != 503:
                self.server_errors.append(f"{method} {path.split('?')[0]} {answer.brief()}")
        return answer

    def token_request(self, form):
        return self.send(
            "POST", "/oauth2/token", urllib.parse.urlencode(form).encode(),
            {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
        )


class Actor:
    """One facility speaking to the exchange."""

    def __init__(self, sandbox, persona):
        self.sandbox, self.persona = sandbox, persona
        self.code, self.name = persona.get("code") or persona["number"], persona["name"]
        self.credentials = sandbox.identity(persona)
        self.lock, self.bearer, self.bearer_ends = threading.Lock(), None, 0.0

    def claims(self, **changes):
        now = int(time.time())
        claims = {
            "iss": self.code, "sub": self.code, "aud": f"{self.sandbox.base_url}/oauth2/token",
            "jti": str(uuid.uuid4()), "iat": now, "exp": now + 240,
        } | changes
        return {k: v for k, v in claims.items() if v is not None}

    def assertion_form(self, assertion):
        return {
            "grant_type": "client_credentials", "client_assertion_type": JWT_BEARER, "client_assertion": assertion,
        }

    def ask_token(self, assertion=None):
        return self.sandbox.token_request(self.assertion_form(assertion or jwt(self.credentials, self.claims())))

    def token(self):
        with self.lock:
            if time.time() > self.bearer_ends - 30:
                answer = self.ask_token()
                if answer.status != 200:
                    raise RuntimeError(f"no token for {self.code}: {answer.brief()}")
                body = answer.json()
                self.bearer, self.bearer_ends = body["access_token"], time.time() + int(body["expires_in"])
            return self.bearer

    def call(self, method, path, body=None, content_type=None, key=None, if_match=None, identity=None, headers=None):
        """Sends with the token; waits and repeats when told to by 429 or 503 with a short Retry-After."""
        sent = {"Authorization": f"Bearer {self.token()}", "Accept": FHIR_JSON}
        for name, value in (
            ("Content-Type", content_type), ("Idempotency-Key", key), ("If-Match", if_match), ("Identity-Token", identity)
        ):
            if value is not None:
                sent[name] = value
        sent |= headers or {}
        for _ in range(4):
            answer = self.sandbox.send(method, path, body, sent)
            wait = answer.headers.get("retry-after", "")
            if answer.status not in (429, 503) or not wait.isdigit() or int(wait) > PATIENCE_SECONDS:
                break
            self.sandbox.retried += 1
            time.sleep(int(wait) + 0.1)
        return answer

    def operate(self, path, body, **headers):
        """POST of a Parameters body."""
        return self.call("POST", path, body, FHIR_JSON, **headers)

    def verify_identity(self, patient, **changes):
        fields = {
            "insurerNumber": patient["insurer_number"], "symbol": patient.get("symbol") or None,
            "number": patient["number"], "branchNumber": patient.get("branch_number") or None,
            "birthDate": patient["birth_date"],
        } | changes
        return self.operate("/fhir/Patient/$verify-identity", parameters(**fields))

    def register(self, document, content_type="application/xml", **headers):
        answer = self.call("POST", "/fhir/Task/$register", document, content_type, **headers)
        if answer.status == 201 and exchange_number(answer.resource()):
            self.sandbox.keep_private(exchange_number(answer.resource()))
        return answer

    def register_resolving(self, document):
        """Registers, mitigating findings as they appear. Returns the last answer and the number of findings."""
        return self._resolving(lambda: self.register(document))

    def dispense_resolving(self, task_id, document):
        return self._resolving(lambda: self.dispense(task_id, document))

    def _resolving(self, attempt):
        seen = set()
        while True:
            answer = attempt()
            fresh = [f["id"].lstrip("#") for f in answer.findings() if f["id"].lstrip("#") not in seen]
            if "medication-check-unresolved" not in answer.codes() or not fresh or len(seen) > 200:
                return answer, len(seen)
            for issue_id in fresh:
                self.mitigate(issue_id)
                seen.add(issue_id)

    def mitigate(self, issue_id, code="1", comment="必要と判断した"):
        listed = [{"name": "code", "valueCode": code}] if code is not None else []
        listed.append({"name": "comment", "valueString": comment})
        body = json.dumps({"resourceType": "Parameters", "parameter": listed}, ensure_ascii=False).encode()
        return self.operate(f"/fhir/DetectedIssue/{issue_id}/$mitigate", body)

    def cancel(self, task_id, reason="誤登録", **headers):
        return self.operate(f"/fhir/Task/{task_id}/$cancel", parameters(reason=reason), **headers)

    def accept(self, number, identity, **headers):
        return self.operate("/fhir/Task/$accept", parameters(exchangeNumber=number), identity=identity, **headers)

    def renew(self, task_id, **headers):
        return self.call("POST", f"/fhir/Task/{task_id}/$renew", **headers)

    def give_back(self, task_id, reason="患者の都合", **headers):
        return self.operate(f"/fhir/Task/{task_id}/$return", parameters(reason=reason), **headers)

    def dispense(self, task_id, document, content_type="application/xml", **headers):
        return self.call("POST", f"/fhir/Task/{task_id}/$dispense", document, content_type, **headers)

    def task(self, task_id):
        return self.call("GET", f"/fhir/Task/{task_id}")

    def document(self, task_id, part=None):
        query = f"?part={part}" if part else ""
        return self.call("GET", f"/fhir/Task/{task_id}/$document{query}", headers={"Accept": "*/*"})

    def task_ids(self, query=""):
        """Every Task id of a search, following `next` links."""
        path, found = f"/fhir/Task?_count=100{query}", []
        for _ in range(200):
            answer = self.call("GET", path)
            if answer.status != 200:
                raise RuntimeError(f"search: {answer.brief()}")
            bundle = answer.json()
            found += [e["resource"]["id"] for e in bundle.get("entry") or [] if e["resource"]["resourceType"] == "Task"]
            following = [link["url"] for link in bundle.get("link") or [] if link["relation"] == "next"]
            if not following:
                break
            parts = urllib.parse.urlsplit(following[0])
            path = parts.path + (f"?{parts.query}" if parts.query else "")
        return found


def exchange_number(task):
    """引換番号 in a Task, or None."""
    return next((i["value"] for i in task.get("identifier") or [] if i.get("system") == NUMBER_SYSTEM), None)


def business_state(task):
    codings = (task.get("businessStatus") or {}).get("coding") or []
    return next((c["code"] for c in codings if c.get("system") == STATE_SYSTEM), None)
