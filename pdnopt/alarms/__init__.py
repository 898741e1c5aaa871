"""Who, what, since when, how bad, what to do, and who has seen it."""

from pdnopt.alarms.board import Alarm, Board, Severity
from pdnopt.alarms.hooks import EmailHook, Hook, Messenger, WebhookHook

__all__ = ["Alarm", "Board", "EmailHook", "Hook", "Messenger", "Severity", "WebhookHook"]
