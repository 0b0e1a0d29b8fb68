"""Keys and certificates, made with the openssl program."""

import itertools
import subprocess
from dataclasses import dataclass
from pathlib import Path

from machine import give_to_owner

_numbers = itertools.count()


@dataclass
class Issued:
    """A key and its certificate."""

    key: Path
    certificate: Path


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def _protect(issued, for_daemons):
    """PostgreSQL, the pooler and libpq want keys that are their own and that nobody else may read."""
    issued.key.chmod(0o600)
    issued.certificate.chmod(0o644)
    if for_daemons:
        give_to_owner(issued.key)
    return issued


def _new_key(base):
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", base.with_suffix(".key"))


class Authority:
    """Signs certificates."""

    def __init__(self, folder):
        self.folder = Path(folder)
        for part in [self.folder, *self.folder.parents]:
            if part.owner() == "root" and str(part).startswith("/tmp/"):
                part.chmod(0o755)
        self.key = self.folder / "authority.key"
        self.certificate = self.folder / "authority.crt"
        _new_key(self.folder / "authority")
        _openssl("req", "-x509", "-new", "-key", self.key, "-subj", "/CN=Test Authority", "-days", 3, "-out", self.certificate)
        self.certificate.chmod(0o644)

    def issue(self, name, names, days=3, for_daemons=False):
        """A certificate for `name`, with these alternative names."""
        base = self.folder / f"{name}-{next(_numbers)}"
        _new_key(base)
        _openssl("req", "-new", "-key", base.with_suffix(".key"), "-subj", f"/CN={name}", "-out", base.with_suffix(".csr"))
        extensions = base.with_suffix(".ext")
        extensions.write_text(f"subjectAltName={names}\n" if names else "basicConstraints=CA:FALSE\n")
        _openssl(
            "x509", "-req", "-in", base.with_suffix(".csr"), "-CA", self.certificate, "-CAkey", self.key,
            "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", base.with_suffix(".crt"))
        return _protect(Issued(base.with_suffix(".key"), base.with_suffix(".crt")), for_daemons)


def self_signed(authority, name, for_daemons=False):
    """A certificate that nobody but itself vouches for."""
    base = authority.folder / f"self-{name}-{next(_numbers)}"
    _new_key(base)
    _openssl("req", "-x509", "-new", "-key", base.with_suffix(".key"), "-subj", f"/CN={name}", "-days", 3, "-out", base.with_suffix(".crt"))
    return _protect(Issued(base.with_suffix(".key"), base.with_suffix(".crt")), for_daemons)
