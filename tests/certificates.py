"""Certificates for the tests, made when they are needed, by the `openssl` of this machine."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support import need


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate and its key: two PEM files."""

    pem: str
    key: str

    @property
    def files(self) -> tuple[str, str]:
        return self.pem, self.key


def make(
    folder: Path, name: str, hosts: str = "DNS:localhost,IP:127.0.0.1", locked: bool = False
) -> Certificate:
    """A certificate for these hosts; `locked`, its key needs a password."""
    openssl = shutil.which("openssl")
    need(openssl, "openssl, which makes the certificates")
    made = Certificate(str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
    subprocess.run(
        [str(openssl), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        + (["-passout", "pass:1234"] if locked else ["-nodes"])
        + ["-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName={hosts}"]
        + ["-keyout", made.key, "-out", made.pem],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return made
