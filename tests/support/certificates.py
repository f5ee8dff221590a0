"""TLS certificates, made by the `openssl` command at each run of the tests."""

import shutil
import subprocess
from pathlib import Path

import pytest


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self.certificate = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        folder.mkdir(parents=True, exist_ok=True)
        _openssl(
            "-subj", f"/CN={name}", "-keyout", str(self._key), "-out", str(self.certificate),
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return the files of a certificate for 127.0.0.1 and its key."""
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        _openssl(
            "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(certificate),
            "-CA", str(self.certificate), "-CAkey", str(self._key),
            "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
        )  # fmt: skip
        return certificate, key


def _openssl(*words: str) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, so there are no certificates to test TLS with")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(["openssl", "req", "-x509", *curve, *words], check=True, capture_output=True)
