"""Certificates for the tests, made when they are needed, by the `openssl` of this machine."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from programs import PATIENCE
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
    folder: Path,
    name: str,
    hosts: str = "DNS:localhost,IP:127.0.0.1",
    locked: bool = False,
    valid: tuple[str, str] | None = None,
) -> Certificate:
    """A certificate for these hosts; `locked`, its key needs a password; `valid`: from when to when, each
    as YYYYMMDDHHMMSSZ (else for two days from now)."""
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
        timeout=PATIENCE,
    )
    if valid is not None:
        _sign_again(str(openssl), folder, made, valid)
    return made


def _sign_again(openssl: str, folder: Path, made: Certificate, valid: tuple[str, str]) -> None:
    """With other dates: for that openssl wants an authority, which here is the certificate itself."""
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("01")
    (folder / "authority.cnf").write_text(
        "[ca]\ndefault_ca=a\n[a]\ndatabase=index.txt\nnew_certs_dir=.\nserial=serial\ndefault_md=sha256\n"
        "policy=p\ncopy_extensions=copy\n[p]\ncommonName=supplied\n"
    )
    request = [
        openssl,
        "x509",
        "-x509toreq",
        "-in",
        made.pem,
        "-signkey",
        made.key,
        "-copy_extensions",
        "copy",
    ]
    sign = [openssl, "ca", "-config", "authority.cnf", "-batch", "-notext", "-selfsign"]
    sign += ["-keyfile", made.key, "-in", "request.pem", "-out", made.pem]
    sign += ["-startdate", valid[0], "-enddate", valid[1]]
    for command in ([*request, "-out", "request.pem"], sign):
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE, cwd=folder)
