"""A small provider of OpenID Connect, run as a process: `python -m tests.oidc_provider CLIENT_ID CLIENT_SECRET`.

Prints one JSON line with its `server` when it serves. Whoever comes to its authorization page is signed in at once, as
the person that `POST /person` said last: {"sub": …, "claims": {…}, "token": {…}, "userinfo": {…}, "alg": …}, where
`token` and `userinfo` overwrite what the id token and the user info say, so that a test can have it lie.
"""

import base64
import hashlib
import json
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

KEY_ID = "k1"


class Provider(ThreadingHTTPServer):
    """What it knows: its key, its client, the person of the moment, codes and tokens that it gave."""

    daemon_threads = True

    def __init__(self, client_id: str, client_secret: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.client_id, self.client_secret = client_id, client_secret
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.other_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.person: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.nonces: dict[str, str] = {}
        self.tokens: set[str] = set()
        self.address = f"http://127.0.0.1:{self.server_address[1]}"

    def id_token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {
            "iss": self.address, "aud": self.client_id, "sub": self.person["sub"], "iat": now, "exp": now + 300,
            "jti": secrets.token_hex(8), "nonce": nonce,
        }  # fmt: skip
        claims |= self.person.get("claims", {}) | self.person.get("token", {})
        algorithm = self.person.get("alg", "RS256")
        key: Any = self.other_key if self.person.get("forged") else self.key
        if algorithm in ("HS256", "none"):
            key = self.client_secret if algorithm == "HS256" else None
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": KEY_ID})

    def user_info(self) -> dict[str, Any]:
        return {"sub": self.person["sub"]} | self.person.get("claims", {}) | self.person.get("userinfo", {})


class Handler(BaseHTTPRequestHandler):
    """Its pages."""

    server: Provider

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path == "/.well-known/openid-configuration":
            self._json(self._configuration())
        elif address.path == "/jwks":
            key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.server.key.public_key()))
            self._json({"keys": [key | {"kid": KEY_ID, "alg": "RS256", "use": "sig"}]})
        elif address.path == "/authorize":
            self._authorize(parse_qs(address.query))
        elif address.path == "/userinfo":
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            self._json(self.server.user_info() if token in self.server.tokens else {"error": "invalid_token"})
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path == "/person":
            self.server.person = json.loads(body)
            self._json({})
        elif self.path == "/token":
            self._token({name: values[0] for name, values in parse_qs(body).items()})
        else:
            self.send_error(404)

    def log_message(self, *args: Any) -> None:
        """Silent."""

    def _configuration(self) -> dict[str, Any]:
        address = self.server.address
        return {
            "issuer": self.server.person.get("issuer", address),
            "authorization_endpoint": f"{address}/authorize",
            "token_endpoint": f"{address}/token",
            "userinfo_endpoint": f"{address}/userinfo",
            "jwks_uri": f"{address}/jwks",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def _authorize(self, asked: dict[str, list[str]]) -> None:
        if self.server.person.get("refuses"):
            answer = {"error": "access_denied", "state": asked["state"][0]}
        else:
            code = secrets.token_urlsafe(16)
            self.server.codes[code] = {
                "redirect_uri": asked["redirect_uri"][0],
                "challenge": asked["code_challenge"][0],
            }
            self.server.nonces[code] = asked.get("nonce", [""])[0]
            answer = {"code": code, "state": asked["state"][0]}
        self.send_response(302)
        self.send_header("Location", f"{asked['redirect_uri'][0]}?{urlencode(answer)}")
        self.end_headers()

    def _token(self, asked: dict[str, str]) -> None:
        given = self.server.codes.pop(asked.get("code", ""), None)
        nonce = self.server.nonces.pop(asked.get("code", ""), "")
        digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        client = (asked.get("client_id"), asked.get("client_secret"))
        if (
            given is None
            or given != {"redirect_uri": asked["redirect_uri"], "challenge": challenge}
            or client != (self.server.client_id, self.server.client_secret)
        ):
            self._json({"error": "invalid_grant"}, 400)
            return
        token = secrets.token_urlsafe(16)
        self.server.tokens.add(token)
        self._json({"access_token": token, "token_type": "Bearer", "id_token": self.server.id_token(nonce)})

    def _json(self, said: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    provider = Provider(*sys.argv[1:3])
    print(json.dumps({"server": provider.address}), flush=True)
    provider.serve_forever()
