"""Alarms to people: an HTTPS POST, an e-mail. The loop never waits for either; what cannot be sent is counted.

Secrets are read from files when they are needed and never written anywhere. A message that fails is tried again a few
times, later ones meanwhile wait in a short queue; when it is full the oldest goes.
"""

from __future__ import annotations

import json
import queue
import smtplib
import ssl
import threading
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from pdnopt.alarms.board import Alarm
from pdnopt.errors import InputError, Issue

__all__ = ["EmailHook", "Hook", "Messenger", "WebhookHook", "payload"]

QUEUE = 256
TRIES = 3
PAUSE_S = 2.0


class Hook(Protocol):
    """One way to tell people."""

    def tell(self, alarm: Alarm) -> None:
        """Tell one alarm; OSError where that fails (smtplib's and urllib's errors are)."""


def payload(alarm: Alarm) -> dict[str, object]:
    """Return an alarm as plain JSON."""
    return {
        "device": alarm.device,
        "kind": alarm.kind,
        "severity": str(alarm.severity),
        "text": alarm.text,
        "recommended": alarm.recommended,
        "since_s": alarm.since_s,
        "acknowledged_by": alarm.acknowledged_by,
    }


@dataclass(frozen=True)
class WebhookHook:
    """POST every alarm as JSON.

    Parameters
    ----------
    url : str
        https only.
    token_file : Path, optional
        Its first line goes into ``Authorization: Bearer``.
    timeout_s : float
    ca_file : Path, optional
        Whom to trust; default: the system's.
    """

    url: str
    token_file: Path | None = None
    timeout_s: float = 5.0
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme != "https":
            shown = urlsplit(self.url)._replace(query="", netloc=urlsplit(self.url).hostname or "").geturl()
            todo = "Alarms say where a plant is weak: send them over TLS."
            raise InputError(Issue("Scheme", "alarms.webhook", "", shown, "an https:// address", todo))

    def tell(self, alarm: Alarm) -> None:
        headers = {"Content-Type": "application/json"}
        if self.token_file is not None:
            headers["Authorization"] = f"Bearer {_secret(self.token_file)}"
        body = json.dumps(payload(alarm)).encode()
        request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")
        trust = ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
        with urllib.request.urlopen(request, timeout=self.timeout_s, context=trust):
            pass


@dataclass(frozen=True)
class EmailHook:
    """Send every alarm as an e-mail, over TLS from the first byte (implicit) or after STARTTLS.

    Parameters
    ----------
    host, port : str, int
    sender, recipients : str, sequence of str
    user, password_file : str, Path
        None: the server takes mail without.
    starttls : bool
    """

    host: str
    sender: str
    recipients: Sequence[str]
    port: int = 465
    user: str = ""
    password_file: Path | None = None
    starttls: bool = False
    timeout_s: float = 10.0
    ca_file: Path | None = None

    def message(self, alarm: Alarm) -> EmailMessage:
        """Return the e-mail. A line break in a device's name starts no header of its own."""
        mail = EmailMessage()
        title = " ".join(f"{alarm.severity} {alarm.device}: {alarm.kind}".split())
        mail["Subject"], mail["From"] = f"[pdnopt] {title}", self.sender
        mail["To"] = ", ".join(self.recipients)
        mail.set_content(f"{alarm.text}\n\nRecommended: {alarm.recommended}\n")
        return mail

    def tell(self, alarm: Alarm) -> None:
        trust = ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
        server: smtplib.SMTP
        if self.starttls:
            server = smtplib.SMTP(self.host, self.port, timeout=self.timeout_s)
        else:
            server = smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout_s, context=trust)
        with server:
            if self.starttls:
                server.starttls(context=trust)
            if self.password_file is not None:
                server.login(self.user, _secret(self.password_file))
            server.send_message(self.message(alarm))


def _secret(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].strip()


class Messenger:
    """Hands alarms to hooks on a thread of its own.

    Attributes
    ----------
    sent, lost : int
        Messages that went out, and that did not.
    last_error : str
        The kind of the last failure, without any text of the other side.
    """

    def __init__(self, hooks: Sequence[Hook], pause_s: float = PAUSE_S) -> None:
        self.sent = self.lost = 0
        self.last_error = ""
        self._hooks, self._pause_s = tuple(hooks), pause_s
        self._waiting: queue.Queue[Alarm | None] = queue.Queue(QUEUE)
        self._closing, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name="alarms")
        self._thread.start()

    def send(self, alarm: Alarm) -> None:
        """Queue an alarm and return at once."""
        while True:
            try:
                self._waiting.put_nowait(alarm)
                return
            except queue.Full:
                with suppress(queue.Empty):
                    self._waiting.get_nowait()
                    self.lost += 1

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what waits, as far as ``timeout_s`` goes, and end."""
        self._closing.set()
        with suppress(queue.Full):
            self._waiting.put_nowait(None)  # wakes the thread; with a full queue it is awake
        self._thread.join(timeout_s)
        self._ended.set()

    def _work(self) -> None:
        while not (self._ended.is_set() or (self._closing.is_set() and self._waiting.empty())):
            alarm = self._waiting.get()
            if alarm is None:
                return
            for hook in self._hooks:
                self._deliver(hook, alarm)

    def _deliver(self, hook: Hook, alarm: Alarm) -> None:
        for attempt in range(TRIES):
            try:
                hook.tell(alarm)
            except (OSError, ValueError, IndexError) as error:
                self.last_error = type(error).__name__
                if attempt + 1 < TRIES:
                    self._ended.wait(self._pause_s)
            else:
                self.sent += 1
                return
        self.lost += 1
