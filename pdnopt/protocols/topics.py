"""Names of the MQTT topics, and who may write and read which.

A *station* is whoever answers for devices: a power node, a gateway, an emulated device. An *asker* is a controller, or
somebody who may only read. Both are the common names of their certificates, and the broker holds them to it (`acl_text`).

======================================  ==========  ========  ========================================================
topic                                   written by  retained  what
======================================  ==========  ========  ========================================================
pdnopt/station/STATION/ask/ASKER/N      ASKER       no        a request (`pdnopt.protocols.wire`)
pdnopt/station/STATION/answer/ASKER/N   STATION     no        the answer to the request of that number
pdnopt/station/STATION/readings         STATION     no        what its devices measure, unasked, every few seconds
pdnopt/station/STATION/forecast         STATION     no        what it expects of its own circuits
pdnopt/station/STATION/status           STATION     yes       how it is; ``{"online": false}`` as its last will
pdnopt/beat/ASKER                       ASKER       no        a signed heartbeat, to all stations
======================================  ==========  ========  ========================================================

N is drawn by the asker and never repeats, across restarts too, so that a late answer finds nobody. A request or a heartbeat
that comes retained is none: it is old by definition. Everything has QoS 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

__all__ = [
    "ANSWERS",
    "NAME",
    "QOS",
    "Question",
    "acl_text",
    "answer_topic",
    "answers_filter",
    "ask_topic",
    "asks_filter",
    "beat_topic",
    "beats_filter",
    "is_name",
    "question_of",
    "told_filter",
    "told_topic",
]

QOS = 1
ROOT = "pdnopt"
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What stations, askers and numbers may be called: nothing that MQTT reads as a level or a wildcard."""
ANSWERS = ("readings", "forecast", "status")
"""What a station tells without being asked."""


class Question(NamedTuple):
    """Who asks which station, under which number."""

    station: str
    asker: str
    number: str


def is_name(name: object) -> bool:
    """Say whether a station or an asker may be called so."""
    return isinstance(name, str) and NAME.fullmatch(name) is not None


def ask_topic(question: Question) -> str:
    """Return where a request goes."""
    return f"{ROOT}/station/{question.station}/ask/{question.asker}/{question.number}"


def answer_topic(question: Question) -> str:
    """Return where its answer goes."""
    return f"{ROOT}/station/{question.station}/answer/{question.asker}/{question.number}"


def told_topic(station: str, what: str) -> str:
    """Return where a station tells one of `ANSWERS`."""
    return f"{ROOT}/station/{station}/{what}"


def beat_topic(asker: str) -> str:
    """Return where a controller's heartbeats go."""
    return f"{ROOT}/beat/{asker}"


def asks_filter(station: str) -> str:
    """Return what a station subscribes to."""
    return f"{ROOT}/station/{station}/ask/+/+"


def beats_filter() -> str:
    """Return what a station subscribes to besides."""
    return f"{ROOT}/beat/+"


def answers_filter(asker: str) -> str:
    """Return what an asker subscribes to."""
    return f"{ROOT}/station/+/answer/{asker}/+"


def told_filter(what: str) -> str:
    """Return what a listener to all stations subscribes to."""
    return f"{ROOT}/station/+/{what}"


def question_of(topic: str) -> Question | None:
    """Return who asks or is answered by a topic, None where it is no such topic."""
    parts = topic.split("/")
    if len(parts) != 6 or parts[0] != ROOT or parts[1] != "station" or parts[3] not in ("ask", "answer"):
        return None
    names = (parts[2], parts[4], parts[5])
    return Question(*names) if all(map(is_name, names)) else None


def acl_text(controllers: Iterable[str], readers: Iterable[str] = ()) -> str:
    """Return mosquitto's access list: a station speaks for itself only, an asker under its own name only.

    ``controllers`` may also send heartbeats. Of what requests say the station judges: a reader's may only read.
    """
    own = f"pattern write {ROOT}/station/%u"
    lines = [
        "# stations, by the common name of their certificate",
        f"pattern read {ROOT}/station/%u/ask/#",
        f"{own}/answer/#",
        *(f"{own}/{what}" for what in ANSWERS),
        f"pattern read {ROOT}/beat/+",
    ]
    leading = frozenset(controllers)
    for name in sorted(leading | frozenset(readers)):
        lines += ["", f"user {name}", f"topic write {ROOT}/station/+/ask/{name}/+"]
        lines += [f"topic read {answers_filter(name)}", *(f"topic read {told_filter(w)}" for w in ANSWERS)]
        if name in leading:
            lines.append(f"topic write {beat_topic(name)}")
    return "\n".join(lines) + "\n"
