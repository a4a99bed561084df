"""The code that opens a legacy fence over the telephone, when the link is cut: computed alike on both sides.

It names a token and is made for one closure and one nonce. It is used up by the next move, whose token is later.
"""

import hashlib
import hmac
from uuid import UUID

_PURPOSE = b"banyan telephone code of the fence of "


def code_key(secret: bytes, closure: str) -> bytes:
    """Derive the key of a closure's codes from a secret of the project."""
    return hmac.digest(secret, _PURPOSE + closure.encode(), "sha256")


def fence_code(key: bytes, closure: str, token: int, nonce: UUID) -> str:
    """Give the code that opens the fence of a closure under a token: `7.3f09-a1c2-55d0-9e41`."""
    said = f"{closure}|{token}|{nonce}".encode()
    digits = hashlib.sha256(key + hashlib.sha256(key + said).digest()).hexdigest()[:16]
    return f"{token}." + "-".join(digits[at : at + 4] for at in range(0, 16, 4))
