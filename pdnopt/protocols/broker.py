"""A configuration of mosquitto that fits `pdnopt.protocols.mqtt`: mutual TLS, names from certificates, an access list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pdnopt.protocols.certificates import Identity
from pdnopt.protocols.mqtt import (
    ask_topic,
    forecast_topic,
    heartbeat_topic,
    node_topic,
    reply_topic,
    status_topic,
)
from pdnopt.protocols.wire import MAX_BYTES

__all__ = ["acl_text", "write_broker"]

HEADER_BYTES = 4096  # of a packet, besides what the message holds
ANY = "+"


def acl_text(
    stations: Mapping[str, Iterable[str]],
    controllers: Iterable[str],
    readers: Iterable[str] = (),
    prefix: str = "pdnopt",
) -> str:
    """Return mosquitto's access list: whoever is not named may nothing, a station speaks for its own devices only.

    Parameters
    ----------
    stations : mapping
        Common name of a gateway or a node -> the topics of its devices.
    controllers, readers : iterable of str
        Common names of who may ask and send heartbeats, and of who may only listen.
    prefix : str
    """
    lines: list[str] = []
    for name, topics in sorted(stations.items()):
        lines += [f"user {name}", f"topic read {heartbeat_topic(prefix)}"]
        lines += [f"topic write {told(prefix, name)}" for told in (node_topic, forecast_topic)]
        for topic in topics:
            lines.append(f"topic read {ask_topic(prefix, topic)}")
            lines += [f"topic write {told(prefix, topic)}" for told in (reply_topic, status_topic)]
        lines.append("")
    told = [make(prefix, ANY) for make in (status_topic, node_topic, forecast_topic)]
    for name in sorted({*controllers}):
        lines += [f"user {name}", f"topic write {ask_topic(prefix, ANY)}"]
        lines += [f"topic write {heartbeat_topic(prefix)}", f"topic read {reply_topic(prefix, ANY)}"]
        lines += [*(f"topic read {topic}" for topic in told), ""]
    for name in sorted({*readers} - {*controllers}):
        lines += [f"user {name}", *(f"topic read {topic}" for topic in told), ""]
    return "\n".join(lines)


def write_broker(
    folder: Path, who: Identity, access: str, *, host: str = "", port: int = 8883, user: str = ""
) -> Path:
    """Write ``mosquitto.conf`` and ``mosquitto.acl`` to a folder, and return the path of the first.

    Parameters
    ----------
    folder : Path
        Exists; files of these names in it are replaced.
    who : Identity
        The broker's certificate and key.
    access : str
        `acl_text`.
    host, port : str, int
        Where it listens; without a host on all addresses.
    user : str
        Account that it runs under where root starts it; mosquitto's own by default.
    """
    acl = folder / "mosquitto.acl"
    acl.write_text(access, encoding="utf-8")
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
        "log_dest stderr",
    ]
    if user:
        lines.append(f"user {user}")
    path = folder / "mosquitto.conf"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
