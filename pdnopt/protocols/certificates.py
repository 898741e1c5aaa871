"""Certificates of an own authority, made when they are needed: for the demo, for tests, for a plant that has none yet.

Every controller, gateway, broker and node has its own. The common name is who it is: gateways and brokers go by it.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pdnopt.errors import InputError, Issue
from pdnopt.protocols.extras import need
from pdnopt.protocols.signing import write_private

__all__ = ["Authority", "Identity", "client_context", "server_context"]

DAYS = 365.0


@dataclass(frozen=True)
class Identity:
    """Files of somebody who takes part: the authority's certificate, an own certificate, its key."""

    ca: Path
    certificate: Path
    key: Path


class Authority:
    """An own certificate authority in a folder: ``ca.pem`` for everybody, ``ca.key`` for nobody else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca, self._key_file = folder / "ca.pem", folder / "ca.key"
        if not self.ca.exists():
            key, builder = self._begin("pdnopt authority", timedelta(days=10 * DAYS))
            x509 = need("cryptography.x509")
            usage = x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            )
            builder = builder.issuer_name(_name("pdnopt authority"))
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            builder = builder.add_extension(usage, critical=True)
            own_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
            builder = builder.add_extension(own_id, critical=False)
            write_private(self._key_file, _pem_key(key))
            self.ca.write_bytes(
                _pem(builder.sign(key, need("cryptography.hazmat.primitives.hashes").SHA256()))
            )

    def issue(
        self, name: str, hosts: tuple[str, ...] = ("localhost", "127.0.0.1"), valid: timedelta | None = None
    ) -> Identity:
        """Return a new identity with that common name. A negative ``valid`` makes one that has expired (for tests)."""
        x509, coding = need("cryptography.x509"), need("cryptography.hazmat.primitives.serialization")
        authority = x509.load_pem_x509_certificate(self.ca.read_bytes())
        authority_key = coding.load_pem_private_key(self._key_file.read_bytes(), password=None)
        key, builder = self._begin(name, timedelta(days=DAYS) if valid is None else valid)
        names = [_host(host) for host in hosts]
        both = [x509.ExtendedKeyUsageOID.CLIENT_AUTH, x509.ExtendedKeyUsageOID.SERVER_AUTH]
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
        for extension, critical in (
            (x509.SubjectAlternativeName(names), False),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.ExtendedKeyUsage(both), False),
            (issuer_key, False),
        ):
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.issuer_name(authority.subject).sign(
            authority_key, need("cryptography.hazmat.primitives.hashes").SHA256()
        )
        found = Identity(self.ca, self.folder / f"{name}.pem", self.folder / f"{name}.key")
        write_private(found.key, _pem_key(key))
        found.certificate.write_bytes(_pem(certificate))
        return found

    def _begin(self, name: str, valid: timedelta) -> tuple[Any, Any]:
        x509 = need("cryptography.x509")
        curves = need("cryptography.hazmat.primitives.asymmetric.ec")
        key = curves.generate_private_key(curves.SECP256R1())
        now = datetime.now(UTC)
        begins = now - timedelta(days=1) if valid > timedelta() else now + valid - timedelta(days=1)
        builder = x509.CertificateBuilder().subject_name(_name(name)).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        return key, builder.not_valid_before(begins).not_valid_after(now + valid)


def server_context(who: Identity) -> ssl.SSLContext:
    """Return TLS for a server that takes only clients of the same authority. Raises InputError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    return _filled(context, who)


def client_context(who: Identity) -> ssl.SSLContext:
    """Return TLS for a client that shows its certificate, and takes only a server of the same authority with the name that
    was called. Raises InputError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return _filled(context, who)


def _filled(context: ssl.SSLContext, who: Identity) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(who.ca)
        context.load_cert_chain(who.certificate, who.key)
    except (OSError, ssl.SSLError) as error:
        value = f"{who.ca}, {who.certificate}, {who.key}: {error}"
        todo = "Name the files of one authority; `pdnopt devices keys FOLDER` makes them."
        raise InputError(
            Issue("Certificate", "security", "", value, "certificate and key in PEM", todo)
        ) from None
    return context


def _name(name: str) -> Any:
    x509 = need("cryptography.x509")
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _host(host: str) -> Any:
    x509 = need("cryptography.x509")
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: Any) -> bytes:
    coding = need("cryptography.hazmat.primitives.serialization")
    return bytes(certificate.public_bytes(coding.Encoding.PEM))


def _pem_key(key: Any) -> bytes:
    coding = need("cryptography.hazmat.primitives.serialization")
    return bytes(key.private_bytes(coding.Encoding.PEM, coding.PrivateFormat.PKCS8, coding.NoEncryption()))
