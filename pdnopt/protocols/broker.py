"""A configuration of mosquitto that fits `pdnopt.protocols.topics`: mutual TLS, names from certificates, an access list."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pdnopt.protocols.certificates import Identity
from pdnopt.protocols.topics import acl_text
from pdnopt.protocols.wire import MAX_BYTES

__all__ = ["write_broker"]

HEADER_BYTES = 4096  # topic and properties of a message besides what it holds


def write_broker(
    folder: Path,
    who: Identity,
    controllers: Iterable[str],
    readers: Iterable[str] = (),
    *,
    host: str = "",
    port: int = 8883,
    user: str = "",
) -> Path:
    """Write ``mosquitto.conf`` and ``mosquitto.acl`` to a folder, and return the path of the first.

    Parameters
    ----------
    folder : Path
        Exists; may be rewritten.
    who : Identity
        The broker's certificate and key.
    controllers, readers : iterable of str
        Common names of who may command, and who may only read.
    host, port : str, int
        Where it listens; without a host on all addresses.
    user : str
        Account that it runs under where root starts it; mosquitto's own by default.
    """
    acl = folder / "mosquitto.acl"
    acl.write_text(acl_text(controllers, readers), encoding="utf-8")
    acl.chmod(0o600)
    lines = [
        f"listener {port} {host}".rstrip(),
        f"cafile {who.ca}",
        f"certfile {who.certificate}",
        f"keyfile {who.key}",
        "require_certificate true",
        "use_identity_as_username true",
        "tls_version tlsv1.2",
        "allow_anonymous false",
        f"acl_file {acl}",
        # nothing is kept for who is away: an old command must not come late
        "persistence false",
        "max_queued_messages 200",
        "max_inflight_messages 100",
        f"max_packet_size {MAX_BYTES + HEADER_BYTES}",
        f"message_size_limit {MAX_BYTES}",
        "max_keepalive 60",
        "log_dest stderr",
        "connection_messages true",
    ]
    if user:
        lines.append(f"user {user}")
    path = folder / "mosquitto.conf"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
