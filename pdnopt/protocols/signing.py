"""Ed25519 signatures (RFC 8032): the controller signs every command, every guard knows the controller's public key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pdnopt.errors import InputError, Issue
from pdnopt.protocols.extras import need

__all__ = ["Signer", "Verifier", "make_keys", "write_private"]


def make_keys(private: Path, public: Path) -> None:
    """Write a new pair of keys as PEM files, the private one readable by its owner only. Files are never replaced."""
    ed25519 = need("cryptography.hazmat.primitives.asymmetric.ed25519")
    coding = need("cryptography.hazmat.primitives.serialization")
    key = ed25519.Ed25519PrivateKey.generate()
    text = key.private_bytes(coding.Encoding.PEM, coding.PrivateFormat.PKCS8, coding.NoEncryption())
    write_private(private, text)
    public.write_bytes(
        key.public_key().public_bytes(coding.Encoding.PEM, coding.PublicFormat.SubjectPublicKeyInfo)
    )


def write_private(path: Path, text: bytes) -> None:
    """Write a new file that only its owner can read.

    Raises
    ------
    InputError
        It exists.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        todo = "Move the old key away first."
        raise InputError(Issue("File", str(path), "", "exists", "a new file", todo)) from None
    with os.fdopen(handle, "wb") as file:
        file.write(text)


class Signer:
    """Signs with a private key.

    Raises
    ------
    InputError
        The file is missing, is no Ed25519 key, or others than its owner may read it.
    """

    def __init__(self, path: Path) -> None:
        ed25519 = need("cryptography.hazmat.primitives.asymmetric.ed25519")
        key = _load(path, "load_pem_private_key", password=None)
        if os.name == "posix" and path.stat().st_mode & 0o077:
            todo = f"chmod 600 {path}, and replace the key if others may have read it."
            raise InputError(
                Issue("Permission", str(path), "", oct(path.stat().st_mode & 0o777), "mode 0600", todo)
            )
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise _no_key(path, type(key).__name__)
        self._key = key

    def __call__(self, text: bytes) -> bytes:
        """Return the signature of a text."""
        return bytes(self._key.sign(text))


class Verifier:
    """Says whether the owner of a public key has signed a text. Raises InputError as `Signer`."""

    def __init__(self, path: Path) -> None:
        ed25519 = need("cryptography.hazmat.primitives.asymmetric.ed25519")
        key = _load(path, "load_pem_public_key")
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise _no_key(path, type(key).__name__)
        self._key = key
        self._wrong = need("cryptography.exceptions").InvalidSignature
        self._last: tuple[bytes, bytes] | None = None  # a heartbeat is looked at by every guard of a gateway

    def __call__(self, text: bytes, signature: bytes) -> bool:
        if (text, signature) == self._last:
            return True
        try:
            self._key.verify(signature, text)
        except self._wrong:
            return False
        self._last = (text, signature)
        return True


def _load(path: Path, how: str, **keywords: Any) -> Any:
    coding = need("cryptography.hazmat.primitives.serialization")
    try:
        return getattr(coding, how)(path.read_bytes(), **keywords)
    except OSError as error:
        raise _no_key(path, error.strerror or "cannot be read") from None
    except (ValueError, TypeError) as error:
        raise _no_key(path, str(error).splitlines()[0][:80]) from None


def _no_key(path: Path, found: str) -> InputError:
    todo = "Make a pair with `pdnopt devices keys FOLDER`, and name the right file."
    return InputError(Issue("Key", str(path), "", found, "an Ed25519 key in PEM", todo))
