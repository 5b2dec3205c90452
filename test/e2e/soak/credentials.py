"""What a client shows. `revoked` is when its end was asked for: from then on it may be refused; `gone` when that was
answered: from then on it has to be. Both are None before."""

import json
import time

from harness import Http, Refused
from harness.tokens import parts


class Key:
    """An API key."""

    def __init__(self, id_, secret):
        self.id, self.secret, self.revoked, self.gone = id_, secret, None, None

    @property
    def headers(self):
        return {"X-API-Key": self.secret}

    @property
    def query(self):
        return {"api_key": self.secret}

    @property
    def auth(self):
        return {"apiKey": self.secret}


class Token:
    """A JSON Web Token, which ends by itself, or with the secret that it is signed with. `turns` are the times of
    which the secret was another (begun, done or None); it was ordered and came between two times."""

    def __init__(self, text, expires_at, turns, ordered, came):
        self.secret, self.expires_at, self.turns, self.ordered, self.came = text, expires_at, turns, ordered, came
        claims = parts(text)[1]
        self.end, self.length = claims["exp"], claims["exp"] - claims["iat"]

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.secret}"}

    @property
    def query(self):
        return {"token": self.secret}

    @property
    def auth(self):
        return {"token": self.secret}

    def reached(self, turn):
        """When the end has come that is told by its second, or by a turn of the secret."""
        return min((at for at in (self.end, turn) if at is not None and at <= time.time()), default=None)

    @property
    def revoked(self):
        return self.reached(next((begun for begun, done in self.turns if not done or done >= self.ordered), None))

    @property
    def gone(self):
        return self.reached(next((done for begun, done in self.turns if done and begun > self.came), None))


def order(world, ledger, key, who, seconds):
    """A token for so many seconds, for which the key is shown; Refused where it is."""
    ordered = time.time()
    http = Http(world.port)
    try:
        asked = json.dumps({"sub": who, "ttl_s": seconds}).encode()
        r = http.request("POST", f"/api/v1/tenants/{ledger.id}/token", {**key.headers, "Content-Type": "application/json"}, asked)
    finally:
        http.close()
    if r.status != 200:
        raise Refused(r)
    token = Token(r.json()["token"], r.json()["expires_at"], world.turns, ordered, time.time())
    ledger.tokens.append(token)
    return token
