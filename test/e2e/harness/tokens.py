"""JSON Web Tokens of any header and claims, right ones and wrong ones; keys and their signatures are openssl's."""

import base64
import hashlib
import hmac
import json
import subprocess
import time


def part(data):
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def parts(token):
    """The header and the claims."""
    return [json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))) for text in token.split(".")[:2]]


def signed(claims, sign, header):
    text = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    return f"{text}.{part(sign(text.encode()))}"


def hs256(secret, claims, **header):
    head = {"alg": "HS256", "typ": "JWT", **header}
    return signed(claims, lambda text: hmac.new(secret, text, hashlib.sha256).digest(), head)


def claims_of(tenant, seconds=60, scopes=("publish", "subscribe"), **more):
    return {"tenant": tenant, "scopes": list(scopes), "exp": int(time.time()) + seconds, **more}


def raw_of(der):
    """r and s of an ECDSA signature, 32 bytes each (RFC 7518, section 3.4)."""
    at, out = 2, b""
    for _ in range(2):
        size = der[at + 1]
        out += der[at + 2 : at + 2 + size].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + size
    return out


class KeyPair:
    """`public` is the PEM file."""

    def __init__(self, folder, algorithm):
        self.algorithm = algorithm
        self.private, self.public = folder / f"{algorithm}.key", folder / f"{algorithm}.pem"
        kind = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if algorithm == "RS256" else ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        openssl("genpkey", "-algorithm", *kind, "-out", self.private)
        openssl("pkey", "-in", self.private, "-pubout", "-out", self.public)

    def token(self, claims):
        def sign(text):
            signature = openssl("dgst", "-sha256", "-sign", self.private, text=text)
            return signature if self.algorithm == "RS256" else raw_of(signature)

        return signed(claims, sign, {"alg": self.algorithm, "typ": "JWT"})


def openssl(*words, text=None):
    return subprocess.run(["openssl", *map(str, words)], input=text, capture_output=True, check=True, timeout=60).stdout
