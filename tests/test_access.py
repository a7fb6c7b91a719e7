"""Who may ask the service for what: keys, tokens, scopes, whose profile, how often, from which page, and on which address."""

import json
import logging
import stat
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from avrec_dag.cli.app import app
from avrec_dag.errors import MissingError, SettingError
from avrec_dag.serving.access import SCOPES, Access, Keyring, required
from avrec_dag.serving.access.rates import BURST_S, Rates
from avrec_dag.serving.access.tokens import Tokens
from avrec_dag.serving.app import create_app
from tests.small_library import ODD, Small

SHARED = "a secret that everybody in this test knows, as long as it has to be"


@pytest.fixture(scope="module")
def library(small, tmp_path_factory) -> Small:
    return small.copy(tmp_path_factory.mktemp("access") / "library")


@pytest.fixture
def keyring(tmp_path, monkeypatch) -> Keyring:
    monkeypatch.setattr("avrec_dag.serving.access.keys._LOOK_EVERY_S", 0.0)
    return Keyring(tmp_path / "instance" / "keys.db")


def serving(library: Small, access: Access, **how: object) -> TestClient:
    made = create_app(library.ledger, library.blobs, library.source, library.log, access=access)
    return TestClient(made, raise_server_exceptions=False, **{"base_url": "http://127.0.0.1", **how})


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def like(user: str) -> dict[str, object]:
    return {"events": [{"user_id": user, "media_id": ODD, "kind": "like", "happened_at": datetime.now(UTC).isoformat()}]}


def test_a_key_is_shown_once_and_kept_as_a_hash_that_only_its_owner_may_read(keyring):
    token = keyring.add("page", ["read", "feedback"])
    kept = keyring.path.read_bytes()

    assert keyring.find(token).scopes == {"read", "feedback"}
    assert token.encode() not in kept and token.split("_", 2)[2].encode() not in kept
    assert stat.S_IMODE(keyring.path.stat().st_mode) == 0o600
    assert token not in str(keyring.every())
    secret, other = token.split("_", 2)[2], "A" if token[-1] != "A" else "B"
    for wrong in (token[:-1], f"{token[:-1]}{other}", f"avrec_{'0' * 12}_{secret}", "", "x" * 10_000):
        assert keyring.find(wrong) is None


def test_a_revoked_key_opens_nothing_whoever_revoked_it_and_stays_listed(keyring):
    token = keyring.add("page", ["read"])
    keyring.add("other", ["admin"])
    elsewhere = Keyring(keyring.path)
    assert elsewhere.find(token) is not None
    keyring.revoke("page")

    assert elsewhere.find(token) is None and elsewhere.any
    assert [(one.name, one.revoked_at is None) for one in keyring.every()] == [("page", False), ("other", True)] or len(
        keyring.every()
    ) == 2
    with pytest.raises(MissingError, match="page"):
        keyring.revoke("page")
    assert keyring.find(keyring.add("page", ["read"])) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "", "scopes": ["read"]},
        {"name": "a\nb", "scopes": ["read"]},
        {"name": "a", "scopes": []},
        {"name": "a", "scopes": ["read", "write"]},
        {"name": "a", "scopes": ["admin"], "user_id": "ada"},
        {"name": "a", "scopes": ["read"], "user_id": ""},
        {"name": "a", "scopes": ["read"], "per_second": 0},
        {"name": "a", "scopes": ["read"], "per_second": float("nan")},
    ],
)
def test_a_key_that_cannot_be_is_refused_with_a_sentence(keyring, wrong):
    with pytest.raises(SettingError):
        keyring.add(**wrong)
    assert not keyring.any


def test_a_file_of_keys_that_is_none_lets_nobody_in(library, tmp_path):
    (tmp_path / "keys.db").write_bytes(b"no database at all" * 100)
    with serving(library, Access(Keyring(tmp_path / "keys.db"))) as client:
        answer = client.get("/v1/recommendations/ada")
    assert answer.status_code == 503 and "keys" in answer.json()["detail"]


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.floats(0.1, 50))
def test_no_more_pass_than_the_bucket_holds_and_what_is_said_to_wait_is_enough(gaps, per_second):
    now = 0.0
    rates, passed = Rates(lambda: now), 0
    for gap in gaps:
        now += gap
        wait_s = rates.wait_s("ada", per_second)
        passed += wait_s == 0.0
        if wait_s:
            now += wait_s + 1e-6
            assert rates.wait_s("ada", per_second) == 0.0
            passed += 1
    assert passed <= max(1.0, per_second * BURST_S) + now * per_second + 1e-6
    assert rates.wait_s("somebody else", per_second) == 0.0


def test_every_route_of_the_service_is_closed_but_those_that_tell_nothing(library, keyring):
    keyring.add("any", ["read"])
    with serving(library, Access(keyring)) as client:
        for route in client.app.routes:
            for method in getattr(route, "methods", ()):
                address = route.path.replace("{user_id:path}", "ada").replace("{media_id:path}", "x")
                needed = required(method, address)
                assert (needed is None) == (not address.startswith(("/v1/", "/metrics"))), (method, address)
                if needed is not None:
                    answer = client.request(method, address)
                    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert required("GET", "/v1/something/new") == required("PUT", "/") == "admin" and required("GET", "/v1/labels") == "label"
    assert required("GET", "/v1/operator/library") == "admin" and required("GET", "/metrics") == "read"


def test_scopes_open_what_they_name_and_admin_everything(library, keyring):
    tokens = {scope: keyring.add(scope, [scope]) for scope in SCOPES}
    asked = {
        "read": ("GET", "/v1/recommendations/ada", {}),
        "feedback": ("POST", "/v1/feedback", {"json": like("ada")}),
        "label": ("POST", "/v1/labels", {"json": {"media_id": ODD, "labels": ["rings"]}}),
    }
    with serving(library, Access(keyring)) as client:
        for needed, (method, address, more) in asked.items():
            for scope, token in tokens.items():
                answer = client.request(method, address, headers=bearer(token), **more)
                assert answer.status_code == (200 if scope in (needed, "admin") else 403), (needed, scope, answer.text)
        assert client.get("/v1/recommendations/ada", headers={"authorization": "Basic YTpi"}).status_code == 401
        assert "invalid_token" in client.get("/v1/recommendations/ada", headers=bearer("guess")).headers["www-authenticate"]


def test_a_key_of_one_person_neither_reads_nor_writes_anything_of_another(library, keyring):
    mine = bearer(keyring.add("phone", ["read", "feedback", "label"], user_id="ada"))
    with serving(library, Access(keyring)) as client:
        for method, address, more in (
            ("GET", "/v1/users/{}", {}),
            ("GET", "/v1/recommendations/{}", {}),
            ("GET", "/v1/explain?user={}&media_id=" + "dt=2026-02-01/rings-0.mp4", {}),
            ("GET", "/v1/search?q=rings&user={}", {}),
            ("DELETE", "/v1/users/{}", {}),
        ):
            assert client.request(method, address.format("eve"), headers=mine, **more).status_code == 403, address
            assert client.request(method, address.format("ada"), headers=mine, **more).status_code == 200, address
        both = {"events": like("ada")["events"] + like("eve")["events"]}
        assert client.post("/v1/feedback", json=both, headers=mine).status_code == 403
        assert client.post("/v1/feedback", json=like("ada"), headers=mine).status_code == 200
        client.post("/v1/labels", json={"media_id": ODD, "labels": ["mine"], "by": "eve"}, headers=mine)
        client.delete("/v1/users/ada", headers=mine)
    assert library.log.of_user("eve") == []
    said = library.ledger and [one.by for one in _labels(library) if one.labels == ("mine",)]
    assert said and "eve" not in said


def _labels(library: Small) -> list:
    from avrec_dag.labelling import LabelLog

    log = LabelLog(library.env["AVREC_FEEDBACK"])
    found = log.history(ODD)
    log.close()
    return found


def test_who_asks_too_often_is_told_how_long_to_wait_and_others_are_not_held_up(library, keyring):
    hasty, patient = bearer(keyring.add("hasty", ["read"], per_second=0.5)), bearer(keyring.add("patient", ["read"]))
    with serving(library, Access(keyring)) as client:
        answers = [client.get("/v1/users/ada", headers=hasty) for _ in range(3)]
        assert [one.status_code for one in answers] == [200, 429, 429]
        assert 1 <= int(answers[1].headers["retry-after"]) <= 2 and "hasty" in answers[1].json()["detail"]
        assert client.get("/v1/users/ada", headers=patient).status_code == 200


def test_without_keys_it_is_open_under_this_machines_own_names_alone_and_the_first_key_closes_it(library, keyring):
    access = Access(keyring)
    with serving(library, access) as client:
        assert client.get("/v1/users/ada").status_code == 200
        assert client.get("/v1/users/ada", headers={"host": "localhost:8000"}).status_code == 200
        for name in ("evil.example", "127.0.0.1.evil.example", "", "[", "192.0.2.7"):
            assert client.get("/v1/users/ada", headers={"host": name}).status_code == 421, name
        access.refuse_open_to_others("127.0.0.1")
        access.refuse_open_to_others("::1")
        for host in ("0.0.0.0", "::", "192.0.2.7", "example.org"):
            with pytest.raises(SettingError, match="avrec keys add"):
                access.refuse_open_to_others(host)
        keyring.add("first", ["read"])
        assert client.get("/v1/users/ada").status_code == 401
        access.refuse_open_to_others("0.0.0.0")
        keyring.revoke("first")
        assert client.get("/v1/users/ada").status_code == 401


def test_a_page_keeps_its_key_in_a_cookie_that_no_script_reads(library, keyring):
    token = keyring.add("page", ["read"])
    with serving(library, Access(keyring)) as client:
        begun = client.post("/v1/session", headers=bearer(token))
        assert begun.json() == {"name": "page", "scopes": ["read"], "user_id": None}
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(begun.headers["set-cookie"].split("; "))
        assert client.get("/v1/users/ada").status_code == 200
        assert client.delete("/v1/session").status_code == 204
        assert client.get("/v1/users/ada").status_code == 401


def test_only_pages_of_the_list_may_ask_from_a_browser(library, keyring):
    token = keyring.add("page", ["read"])
    with serving(library, Access(keyring, origins=["https://app.example"])) as client:
        asked = {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
        ours = client.options("/v1/users/ada", headers={"origin": "https://app.example", **asked})
        theirs = client.options("/v1/users/ada", headers={"origin": "https://evil.example", **asked})
        assert ours.headers["access-control-allow-origin"] == "https://app.example"
        assert "access-control-allow-origin" not in theirs.headers
        refused = client.get("/v1/users/ada", headers={"origin": "https://app.example"})
        assert refused.status_code == 401 and refused.headers["access-control-allow-origin"] == "https://app.example"
        assert "access-control-allow-origin" not in client.get("/", headers={**bearer(token), "origin": "https://evil.example"}).headers


def test_a_page_elsewhere_cannot_have_a_browser_write_with_a_request_that_needs_no_leave(library, keyring):
    with serving(library, Access(keyring)) as client:
        for simple in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            sent = client.post("/v1/feedback", content=json.dumps(like("simple")), headers={"content-type": simple})
            assert sent.status_code == 422, simple
            assert client.post("/v1/search", content=b"x", headers={"content-type": simple}).status_code == 415
    assert library.log.of_user("simple") == []


def test_no_key_is_in_a_log_or_an_error(library, keyring, caplog, monkeypatch):
    token = keyring.add("page", ["read"])
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("avrec_dag.serving.live.Live.similar", lambda *_args: 1 / 0)
    with serving(library, Access(keyring)) as client:
        answers = [client.get(where, headers=bearer(token)) for where in ("/v1/similar/x", "/v1/labels", "/v1/users/ada", "/v1/search")]
        answers.append(client.get("/v1/users/ada", headers=bearer(token[:-2])))
    assert [one.status_code for one in answers] == [500, 403, 200, 422, 401]
    secret = token.split("_", 2)[2][:-2]
    assert secret not in caplog.text and not any(secret in one.text for one in answers)


class Provider(BaseHTTPRequestHandler):
    """An OpenID provider on this machine: its description and its keys."""

    keys: ClassVar[dict[str, object]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        Provider.asked.append(self.path)
        issuer = f"http://127.0.0.1:{self.server.server_port}"
        about = {"issuer": issuer, "jwks_uri": f"{issuer}/keys"}
        body = json.dumps(about if self.path.endswith("openid-configuration") else {"keys": list(Provider.keys.values())}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        return


@pytest.fixture(scope="module")
def signing() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def issuer(signing) -> Iterator[str]:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(signing.public_key()))
    Provider.keys, Provider.asked = {"one": {**public, "kid": "one", "use": "sig", "alg": "RS256"}}, []
    server = HTTPServer(("127.0.0.1", 0), Provider)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_good_token_speaks_for_its_subject_and_anything_less_is_turned_away(library, keyring, issuer, signing):
    good = {"iss": issuer, "aud": "avrec", "sub": "ada", "exp": int(time.time()) + 60, "scope": "openid avrec:read"}

    def token(key: object = signing, alg: str = "RS256", kid: str = "one", **claims: object) -> str:
        told = {name: value for name, value in {**good, **claims}.items() if value is not None}
        return jwt.encode(told, key, algorithm=alg, headers={"kid": kid})

    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    bad = {
        "signed by somebody else": token(stranger),
        "expired": token(exp=int(time.time()) - 3600),
        "for another service": token(aud="shop"),
        "by another issuer": token(iss="https://evil.example"),
        "without an end": token(exp=None),
        "without a subject": token(sub=None),
        "by an unknown key": token(kid="two"),
        "signed with a shared secret": token(SHARED, "HS256"),
        "unsigned": token(None, "none"),
        "no token": "a.b.c",
        "cut": token()[:-8],
    }
    with serving(library, Access(keyring, Tokens(issuer, "avrec"))) as client:
        assert client.get("/v1/users/ada", headers=bearer(token())).status_code == 200
        assert client.get("/v1/users/eve", headers=bearer(token())).status_code == 403
        assert client.post("/v1/feedback", json=like("ada"), headers=bearer(token())).status_code == 403
        assert client.post("/v1/feedback", json=like("ada"), headers=bearer(token(scope=None))).status_code == 200
        assert client.get("/v1/users/eve", headers=bearer(token(scope="admin"))).status_code == 200
        for name, one in bad.items():
            assert client.get("/v1/users/ada", headers=bearer(one)).status_code == 401, name
        assert client.get("/v1/users/ada").status_code == 401
    assert Provider.asked.count("/keys") == 1, "unknown keys must not have the provider asked again and again"


@pytest.mark.parametrize(
    ("issuer", "audience"), [("http://login.example", "avrec"), ("file:///etc/passwd", "avrec"), ("https://login.example", "")]
)
def test_an_issuer_that_cannot_be_trusted_is_refused(issuer, audience):
    with pytest.raises(SettingError, match="AVREC_OIDC"):
        Tokens(issuer, audience)


def test_a_provider_that_is_away_lets_no_token_in(keyring):
    tokens = Tokens("http://127.0.0.1:9", "avrec")
    assert tokens.find(jwt.encode({"sub": "ada"}, SHARED, algorithm="HS256")) is None


def test_keys_are_made_listed_and_revoked_by_command_and_an_open_service_refuses_to_be_seen(small: Small, tmp_path: Path, monkeypatch):
    for name, value in {**small.env, "AVREC_KEYS": str(tmp_path / "keys.db")}.items():
        monkeypatch.setenv(name, value)

    def avrec(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments])

    refused = avrec("serve", "--host", "0.0.0.0", "--port", "0")
    made = json.loads(avrec("keys", "add", "page", "--scope", "read", "--json").stdout)
    listed = avrec("keys", "list", "--json").stdout

    assert refused.exit_code == 2 and "avrec keys add" in " ".join(refused.stderr.split())
    assert Keyring(tmp_path / "keys.db").find(made["key"]).name == "page"
    assert [(one["name"], one["scopes"], one["revoked_at"]) for one in json.loads(listed)] == [("page", ["read"], None)]
    assert made["key"].split("_", 2)[2] not in listed
    assert json.loads(avrec("keys", "revoke", "page", "--json").stdout)["revoked_at"]
    assert avrec("keys", "add", "x", "--scope", "write").exit_code == 2
    assert avrec("keys", "revoke", "page").exit_code == 1
