"""Media types of images, however they are spelled."""

import re

_PLAIN = re.compile(r"(?:image/)?(?:x-)?(?:citrix-)?([a-z]+)")
_JPEG = dict.fromkeys(("jpg", "jpe", "pjpeg", "jfif"), "jpeg")
MEDIA_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
"""Of images that both protocols take."""


def media_type_of(text: str) -> str | None:
    """One of MEDIA_TYPES, in any case and with any parameters; None for others."""
    kind = _PLAIN.fullmatch(text.partition(";")[0].strip().lower())
    name = f"image/{_JPEG.get(kind[1], kind[1])}" if kind else ""
    return name if name in MEDIA_TYPES else None
