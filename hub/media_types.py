"""What a file is, by what is in it rather than by what it is called."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Mapping
from pathlib import Path

OFFICE = "application/vnd.openxmlformats-officedocument."

#: Media types by the names that the setting `file_types` has.
MEDIA_TYPES: Mapping[str, str] = {
    "pdf": "application/pdf",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "docx": f"{OFFICE}wordprocessingml.document",
    "xlsx": f"{OFFICE}spreadsheetml.sheet",
    "pptx": f"{OFFICE}presentationml.presentation",
    "txt": "text/plain",
    "csv": "text/csv",
}

SIGNATURES = (
    (re.compile(rb"%PDF-"), "pdf"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "png"),
    (re.compile(rb"\xff\xd8\xff"), "jpeg"),
    (re.compile(rb"GIF8[79]a"), "gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "webp"),
)

#: A part that only a document of that kind has; its name stands in the directory at the end of the archive.
PARTS = ((b"word/document.xml", "docx"), (b"xl/workbook.xml", "xlsx"), (b"ppt/presentation.xml", "pptx"))

#: Bytes at the beginning and at the end of a file that are looked at.
HEAD, TAIL = 16, 1024 * 1024

#: Bytes of text that are looked at in one go.
PIECE = 64 * 1024

CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


def recognised(path: Path, name: str, allowed: Collection[str]) -> str | None:
    """The media type of a file, None if it is none of those allowed; it blocks while it reads."""
    kind = _kind(path, name)
    return MEDIA_TYPES[kind] if kind is not None and kind in allowed else None


def _kind(path: Path, name: str) -> str | None:
    with path.open("rb") as file:
        head = file.read(HEAD)
        for signature, kind in SIGNATURES:
            if signature.match(head):
                return kind
        if head.startswith(b"PK\x03\x04"):
            file.seek(max(0, path.stat().st_size - TAIL))
            tail = file.read()
            return next((kind for part, kind in PARTS if part in tail), None)
    return ("csv" if name.lower().endswith(".csv") else "txt") if _is_text(path) else None


def _is_text(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            try:
                text = decoder.decode(piece)
            except UnicodeDecodeError:
                return False
            if CONTROL.search(text):
                return False
    return decoder.getstate()[0] == b""
