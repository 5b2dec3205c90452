"""JSON Web Tokens, good ones and others: made by hand, with the `openssl` command where there is a key pair."""

import base64
import hashlib
import hmac
import json
import subprocess


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encode(obj):
    return base64url(json.dumps(obj, separators=(",", ":")).encode())


def openssl(*words, data=None):
    return subprocess.run(["openssl", *map(str, words)], input=data, capture_output=True, check=True, timeout=60).stdout


class Pair:
    """A key pair in files of `folder`: RSA for RS256, or EC (P-256) for ES256."""

    def __init__(self, folder, name, algorithm="RS256"):
        self.private, self.public = folder / f"{name}.key", folder / f"{name}.pem"
        kind = ("RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        if algorithm == "ES256":
            kind = ("EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        openssl("genpkey", "-algorithm", *kind, "-out", self.private)
        openssl("pkey", "-in", self.private, "-pubout", "-out", self.public)
        self.pem = self.public.read_bytes()

    def sign(self, algorithm, text):
        signature = openssl("dgst", "-sha256", "-sign", self.private, data=text)
        return signature if algorithm == "RS256" else as_two_numbers(signature)


def as_two_numbers(der):
    """Of an ECDSA signature: RFC 7518, section 3.4, has the two numbers side by side."""
    out, at = b"", 2
    for _ in range(2):
        length = der[at + 1]
        out += int.from_bytes(der[at + 2 : at + 2 + length], "big").to_bytes(32, "big")
        at += 2 + length
    return out


HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def jwt(claims, key, algorithm="HS256", **header):
    """`key` is bytes for HS…, a Pair for RS256 and ES256, and not looked at for `none` in any spelling."""
    signed = encode({"alg": algorithm, "typ": "JWT", **header}) + "." + encode(claims)
    if algorithm in HASHES:
        signature = hmac.new(key, signed.encode(), HASHES[algorithm]).digest()
    elif algorithm.lower() == "none":
        signature = b""
    else:
        signature = key.sign(algorithm, signed.encode())
    return f"{signed}.{base64url(signature)}"


def jwt_of_length(length, claims, key):
    """A good one of so many characters (or up to two more where base64 has none of that length)."""
    pad = 0
    while True:
        token = jwt({**claims, "pad": "x" * pad}, key)
        if len(token) >= length:
            return token
        pad += max(1, (length - len(token)) * 3 // 4 - 3)
