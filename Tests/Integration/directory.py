"""A throw-away LDAP server: OpenLDAP's slapd in the foreground, as a user that is not root."""

import shutil
import socket
import subprocess
from base64 import b64encode

from certificates import Authority
from machine import PORTS, as_owner, give_to_owner, make_folder
from waiting import eventually

SUFFIX = "dc=example,dc=net"
MANAGER, MANAGER_PASSWORD = f"cn=manager,{SUFFIX}", "manager secret"

CONFIG = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {folder}/slapd.pid
moduleload back_mdb
sizelimit 50
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=hidden,{suffix}" by dn.exact="{manager}" read by anonymous auth by * none
access to * by * read
TLSCACertificateFile {authority}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
database mdb
maxsize 10485760
directory {folder}/data
suffix "{suffix}"
rootdn "{manager}"
rootpw "{password}"
"""

TREE = """\
dn: dc=example,dc=net
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=hidden,dc=example,dc=net
objectClass: organizationalUnit
ou: hidden

"""


def slapd_program():
    """Where slapd is."""
    return shutil.which("slapd", path="/usr/sbin:/usr/local/sbin:/usr/bin")


def _line(name, value):
    """One attribute of LDIF; anything but plain text goes as base64."""
    return f"{name}:: {b64encode(value.encode()).decode()}\n"


def in_name(value):
    """A value in a distinguished name, every byte of it escaped (RFC 4514)."""
    return "".join(f"\\{byte:02x}" for byte in value.encode())


class Directory:
    """A running slapd with people; `people` are (uid, password, branch, more attributes)."""

    def __init__(self, folder, people):
        self.folder = make_folder(folder)
        make_folder(self.folder / "data")
        self.port, self.tls_port = PORTS.free(), PORTS.free()
        certificates = self.folder / "certificates"
        certificates.mkdir()
        self.authority = Authority(certificates)
        issued = self.authority.issue("directory", "IP:127.0.0.1,DNS:localhost", for_daemons=True)
        config, tree = self.folder / "slapd.conf", self.folder / "tree.ldif"
        config.write_text(CONFIG.format(
            folder=self.folder, suffix=SUFFIX, manager=MANAGER, password=MANAGER_PASSWORD,
            authority=self.authority.certificate, certificate=issued.certificate, key=issued.key))
        text = TREE
        for uid, password, branch, more in people:
            name = ",".join(filter(None, [f"uid={in_name(uid)}", branch, SUFFIX]))
            text += _line("dn", name) + "objectClass: inetOrgPerson\n"
            text += _line("uid", uid) + "sn: x\ncn: x\n" + _line("userPassword", password)
            text += "".join(_line(key, value) for key, value in more.items()) + "\n"
        tree.write_text(text)
        for path in (config, tree):
            give_to_owner(path)
        self._run("-T", "add", "-f", config, "-l", tree)
        self.log = open(self.folder / "slapd.log", "wb")
        self.process = subprocess.Popen(
            [slapd_program(), "-f", str(config), "-d", "0",
             "-h", f"ldap://127.0.0.1:{self.port}/ ldaps://127.0.0.1:{self.tls_port}/"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd="/", **as_owner())
        eventually(self._answers, "slapd listens")

    def _run(self, *arguments):
        done = subprocess.run(
            [slapd_program(), *map(str, arguments)], check=False, capture_output=True, cwd="/", **as_owner())
        assert done.returncode == 0, done.stderr.decode()

    def _answers(self):
        assert self.process.poll() is None, (self.folder / "slapd.log").read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
