"""Ed25519 keys and signatures, by which a device knows who signed a bundle (RFC 8032, PyNaCl)."""

from pathlib import Path

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from common import files

SIGNATURE_BYTES = 64
_KEY_BYTES = 32


def make_key(path: Path) -> None:
    """Write a new private key, 64 hex digits, to a file that only its owner can read.

    Raises:
        OSError: the file exists, or cannot be written.
    """
    files.create_private(path, bytes(SigningKey.generate()).hex() + "\n")


def public_key(private: bytes) -> str:
    """Return the public key of a private one as 64 hex digits."""
    return bytes(SigningKey(private).verify_key).hex()


def read_key(path: Path) -> bytes:
    """Return the private key of a file that `make_key` wrote, 32 bytes.

    Raises:
        ValueError: it holds no private key.
        OSError: it cannot be read.
    """
    try:
        key = bytes.fromhex(path.read_text("utf-8-sig").strip())
    except ValueError as error:
        raise ValueError(f"{path} holds no private key; make one with moodwire bundle keygen") from error
    if len(key) != _KEY_BYTES:
        raise ValueError(f"{path} holds {len(key)} bytes; make a key of {_KEY_BYTES} with moodwire bundle keygen")
    return key


def sign(message: bytes, private: bytes) -> bytes:
    """Return the signature of a message, 64 bytes."""
    return SigningKey(private).sign(message).signature


def is_signed(message: bytes, signature: bytes, public: str) -> bool:
    """Return whether a message was signed with the private key of this public key, 64 hex digits."""
    try:
        VerifyKey(bytes.fromhex(public)).verify(message, signature)
    except BadSignatureError:
        return False
    return True
