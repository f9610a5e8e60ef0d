"""Apps of patients (PHR): a standard OAuth library goes the whole way, and every short cut is closed."""

import html
import re
import time
import urllib.parse
import uuid

from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from exchange_client import jwt

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
SCOPE = "launch/patient patient/*.read offline_access"


def apps(world):
    box = world.sandbox
    app = box.apps[0]
    patient = next(p for p in world.patients if p.get("cert"))
    identity = box.identity(patient)
    found = box.send("GET", "/fhir/.well-known/smart-configuration").json()
    world.check("the configuration names S256 and no other", found["code_challenge_methods_supported"] == ["S256"])

    def card(**changes):
        now = int(time.time())
        claims = {"iss": "card", "sub": "card", "aud": box.base_url, "jti": str(uuid.uuid4()), "iat": now, "exp": now + 240}
        return jwt(identity, claims | changes)

    def session():
        return OAuth2Session(
            app["client_id"], scope=SCOPE, redirect_uri=app["redirect_uri"], code_challenge_method="S256",
            token_endpoint_auth_method="none",
        )

    def begin(client, verifier, **extra):
        url, state = client.create_authorization_url(
            found["authorization_endpoint"], code_verifier=verifier, aud=f"{box.base_url}/fhir", **extra
        )
        return urllib.parse.urlsplit(url), state

    def decide(url, decision="approve", **fields):
        """Reads the consent screen and presses a button. Returns the answer and the parameters sent to the app."""
        screen = box.send("GET", f"{url.path}?{url.query}")
        kept = {
            html.unescape(name): html.unescape(value)
            for name, value in re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', screen.body.decode())
        }
        body = urllib.parse.urlencode(kept | {"decision": decision} | fields).encode()
        answer = box.send("POST", "/oauth2/authorize", body, FORM)
        sent = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer.headers.get("location", "")).query))
        return screen, answer, sent

    def redeem(**fields):
        form = {"grant_type": "authorization_code", "client_id": app["client_id"], "redirect_uri": app["redirect_uri"]}
        return box.token_request({k: v for k, v in (form | fields).items() if v is not None})

    # The whole way, as the library goes it.
    verifier, client = generate_token(48), session()
    url, state = begin(client, verifier)
    screen, answer, sent = decide(url, card_assertion=card())
    world.check("the consent screen names the app", screen.status == 200 and app["name"] in screen.body.decode())
    policy = screen.headers.get("content-security-policy", "")
    world.check("it runs no script and stands in no frame", "default-src 'none'" in policy and "frame-ancestors 'none'" in policy)
    world.check("the code comes back with state and issuer", answer.status == 303 and sent.get("state") == state and sent.get("iss") == box.base_url, answer.brief())
    token = client.fetch_token(
        found["token_endpoint"], authorization_response=answer.headers["location"], code_verifier=verifier, state=state
    )
    world.check("the library gets a token", bool(token.get("access_token")) and token.get("refresh_token"), str(token.keys()))
    bearer = {"Authorization": f"Bearer {token['access_token']}", "Accept": "application/fhir+json"}
    world.refused("an app does not act", box.send("GET", "/fhir/Task", None, bearer), 403, "not-permitted")
    renewed = client.refresh_token(found["token_endpoint"], refresh_token=token["refresh_token"])
    world.check("the library renews it", renewed["access_token"] != token["access_token"])

    # What the patient sees and ends.
    login = box.token_request(
        {"grant_type": "client_credentials", "client_assertion": card(),
         "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
    ).json()
    own = {"Authorization": f"Bearer {login['access_token']}", "Accept": "application/json"}
    listed = box.send("GET", "/oauth2/apps", None, own).json()["apps"]
    world.check("the patient sees the app", listed and listed[0]["client_id"] == app["client_id"])
    ended = box.send("DELETE", f"/oauth2/apps/{listed[0]['id']}", None, own)
    world.check("and ends its access", ended.status == 204, ended.brief())
    bearer["Authorization"] = f"Bearer {renewed['access_token']}"
    world.refused("at once", box.send("GET", "/fhir/Task", None, bearer), 401, "token-invalid")
    spent = box.token_request(
        {"grant_type": "refresh_token", "client_id": app["client_id"], "refresh_token": renewed["refresh_token"]}
    )
    world.check("nothing renews it", spent.status == 400 and spent.resource().get("error") == "invalid_grant", spent.brief())

    # A code is good once, for its verifier, its address and its app.
    def code(**fields):
        verifier = generate_token(48)
        url, _ = begin(session(), verifier)
        return decide(url, card_assertion=card(), **fields)[2].get("code"), verifier

    for name, wrong in (
        ("another verifier", {"code_verifier": generate_token(48)}),
        ("another address", {"redirect_uri": f"{app['redirect_uri']}/x"}),
        ("another app", {"client_id": "nobody"}),
        ("no verifier", {"code_verifier": None}),
    ):
        value, verifier = code()
        answer = redeem(**({"code": value, "code_verifier": verifier} | wrong))
        world.check(f"{name} gets no token", answer.status == 400 and "access_token" not in answer.resource(), answer.brief())
    value, verifier = code()
    first = redeem(code=value, code_verifier=verifier)
    again = redeem(code=value, code_verifier=verifier)
    world.check("a code is good once", first.status == 200 and again.status == 400, f"{first.status} {again.brief()}")
    bearer["Authorization"] = f"Bearer {first.json()['access_token']}"
    world.refused("and its second use ends the first", box.send("GET", "/fhir/Task", None, bearer), 401, "token-invalid")

    # What the authorization endpoint refuses.
    def asked(**changes):
        fields = {
            "response_type": "code", "client_id": app["client_id"], "redirect_uri": app["redirect_uri"], "scope": SCOPE,
            "state": "s", "code_challenge": create_s256_code_challenge(generate_token(48)), "code_challenge_method": "S256",
        } | changes
        query = urllib.parse.urlencode({k: v for k, v in fields.items() if v is not None})
        answer = box.send("GET", f"/oauth2/authorize?{query}")
        sent = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer.headers.get("location", "")).query))
        return answer, sent

    for name, changes, error in (
        ("no PKCE", {"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ("PKCE in the clear", {"code_challenge_method": "plain"}, "invalid_request"),
        ("PKCE without a method", {"code_challenge_method": None}, "invalid_request"),
        ("a foreign scope", {"scope": "system/*.read"}, "invalid_scope"),
        ("a right to write", {"scope": "patient/*.write"}, "invalid_scope"),
        ("another server", {"aud": "https://elsewhere.example/fhir"}, "invalid_request"),
        ("an implicit token", {"response_type": "token"}, "unsupported_response_type"),
    ):
        answer, sent = asked(**changes)
        world.check(f"{name} is refused", answer.status == 303 and sent.get("error") == error and sent.get("state") == "s", answer.brief())
    for name, changes in (
        ("a wrong address", {"redirect_uri": "https://elsewhere.example/callback"}),
        ("an unknown app", {"client_id": "nobody"}),
        ("no address", {"redirect_uri": None}),
    ):
        answer, _ = asked(**changes)
        world.check(f"{name} is sent nothing", answer.status == 400 and "location" not in answer.headers, answer.brief())

    # Only the card agrees, and each time anew.
    url, _ = begin(session(), generate_token(48))
    world.check("the patient may refuse", decide(url, "deny")[2].get("error") == "access_denied")
    proof = card()
    world.check("a card's proof agrees", "code" in decide(url, card_assertion=proof)[2])
    for name, value in (
        ("the same proof again", proof),
        ("a proof for another server", card(aud="https://elsewhere.example")),
        ("a proof that has ended", card(iat=int(time.time()) - 600, exp=int(time.time()) - 300)),
        ("no proof", ""),
    ):
        _, answer, sent = decide(url, card_assertion=value)
        world.check(f"{name} does not", answer.status in (400, 401) and "code" not in sent, answer.brief())
