"""Media types of images, however they are spelled."""

_OTHERWISE = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
MEDIA_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
"""Of images that both protocols take."""


def media_type_of(text: str) -> str | None:
    """One of MEDIA_TYPES, in any case and with any parameters; None for others."""
    name = text.partition(";")[0].strip().lower()
    name = _OTHERWISE.get(name, name)
    return name if name in MEDIA_TYPES else None
