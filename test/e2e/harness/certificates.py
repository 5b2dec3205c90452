"""Certificates, made anew by each run with the `openssl` command."""

import atexit
import itertools
import os
import tempfile

from .jwt import openssl

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


class Authority:
    """Signs certificates; all its files are in a folder of its own, which goes with the process."""

    folder = None
    numbers = itertools.count(1)

    def __init__(self, name="an authority"):
        if Authority.folder is None:
            Authority.folder = tempfile.TemporaryDirectory(prefix="carillon-certificates-")
            atexit.register(Authority.folder.cleanup)
        self.stem = os.path.join(Authority.folder.name, str(next(Authority.numbers)))
        self.cert, self.key = self.stem + ".pem", self.stem + ".key"
        openssl("req", "-x509", *CURVE, "-nodes", "-days", 60, "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.cert,
                "-addext", "keyUsage=critical,keyCertSign")

    def issue(self, name="localhost", usage="serverAuth", kind=CURVE, days=30):
        """A certificate and its key: (path, path). Less than one: it has run out."""
        stem = f"{self.stem}-{next(Authority.numbers)}"
        cert, key, request, more = stem + ".pem", stem + ".key", stem + ".csr", stem + ".ext"
        with open(more, "w", encoding="ascii") as f:
            f.write(f"subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\nextendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n")
        openssl("req", "-new", *kind, "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-set_serial", next(Authority.numbers),
                "-days", days, "-extfile", more, "-out", cert)
        return cert, key
