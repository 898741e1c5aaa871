"""The settings of a mosquitto broker that lets everybody do what is theirs, and nothing else.

Certificates are required; the common name is the user. The controller asks and listens to all; a gateway, and a node of
several devices, answers for its devices; anybody else is a node or a device, and has the topic of its own name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pdnopt.errors import InputError, Issue
from pdnopt.protocols.certificates import Identity
from pdnopt.protocols.mqtt import (
    ask_topic,
    forecast_topic,
    heartbeat_topic,
    node_topic,
    reply_topic,
    status_topic,
)

__all__ = ["write_broker_files"]


def write_broker_files(
    folder: Path,
    identity: Identity,
    host: str,
    port: int,
    controllers: Sequence[str],
    gateways: Mapping[str, Sequence[str]],
    prefix: str = "pdnopt",
) -> Path:
    """Write ``mosquitto.conf`` and ``mosquitto.acl`` and return the path of the first.

    Parameters
    ----------
    folder : Path
    identity : Identity
        The broker's.
    host, port : str, int
        Where it listens.
    controllers : sequence of str
        Common names of controllers.
    gateways : mapping
        Common name of a gateway or a node -> topics of its devices.
    prefix : str

    Raises
    ------
    InputError
        The files cannot be written.
    """
    rules = []
    for name in controllers:
        rules += [
            f"user {name}",
            f"topic write {ask_topic(prefix, '+')}",
            f"topic write {heartbeat_topic(prefix)}",
            f"topic read {reply_topic(prefix, '+')}",
            *(f"topic read {told(prefix, '+')}" for told in (status_topic, node_topic, forecast_topic)),
            "",
        ]
    for name, topics in gateways.items():
        rules += [f"user {name}", f"topic read {heartbeat_topic(prefix)}"]
        for topic in topics:
            rules += [
                f"topic read {ask_topic(prefix, topic)}",
                f"topic write {reply_topic(prefix, topic)}",
                f"topic write {status_topic(prefix, topic)}",
            ]
        rules.append("")
    rules += [
        f"pattern read {ask_topic(prefix, '%u')}",
        f"pattern write {reply_topic(prefix, '%u')}",
        *(f"pattern write {told(prefix, '%u')}" for told in (status_topic, node_topic, forecast_topic)),
        f"pattern read {heartbeat_topic(prefix)}",
    ]
    settings = [
        f"listener {port} {host}",
        f"cafile {identity.ca.resolve()}",
        f"certfile {identity.certificate.resolve()}",
        f"keyfile {identity.key.resolve()}",
        "tls_version tlsv1.2",
        "require_certificate true",
        "use_identity_as_username true",
        "allow_anonymous false",
        f"acl_file {(folder / 'mosquitto.acl').resolve()}",
        "set_tcp_nodelay true",
        "persistence false",
        "retain_available false",
        "message_size_limit 1048576",
        "max_connections 1000",
        "max_queued_messages 1000",
        "log_dest stderr",
    ]
    config = folder / "mosquitto.conf"
    try:
        (folder / "mosquitto.acl").write_text("\n".join(rules) + "\n", encoding="utf-8")
        config.write_text("\n".join(settings) + "\n", encoding="utf-8")
    except OSError as error:
        allowed, todo = f"a folder that can be written ({error.strerror})", "Choose another folder."
        raise InputError(Issue("File", "folder", "", str(folder), allowed, todo)) from None
    return config
