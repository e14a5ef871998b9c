"""Log lines: `[INFO] text`, or one JSON object a line with LOG_FORMAT=json.

What clients, tenants and providers wrote may be part of any message. Whatever it is, it begins no
line and moves no cursor.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

_LABELS = {"WARNING": "WARN", "CRITICAL": "ERROR"}


class _Formatter(logging.Formatter):
    def __init__(self, as_json: bool) -> None:
        super().__init__()
        self.as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        label = _LABELS.get(record.levelname, record.levelname)
        message = record.getMessage()
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        if not self.as_json:
            # The lines of what an exception says would stand at the left, as ours do.
            indented = trace.replace("\n", "\n  ")
            lines = [f"[{label}] {message}", *(indented.split("\n") if trace else ())]
            return "\n".join(map(printable, lines))
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": label.lower(),
            "message": message,
        }
        if trace:
            line["traceback"] = trace
        # A header's stray byte reaches Python as a lone surrogate, which is not UTF-8.
        safe = {name: text.encode(errors="replace").decode() for name, text in line.items()}
        # ASCII alone: some readers end a line at U+0085 or U+2028, which JSON lets stand.
        return json.dumps(safe, separators=(",", ":"))


def printable(line: str) -> str:
    """With escapes for line breaks and other controls, among them those of terminals."""
    if line.isprintable():
        return line
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in line
    )


def configure(level: str, format: Literal["text", "json"]) -> None:
    """Sends our lines and Sanic's warnings out: information to stdout, the rest to stderr."""
    formatter = _Formatter(format == "json")
    out = logging.StreamHandler(sys.stdout)
    out.addFilter(lambda record: record.levelno < logging.WARNING)
    err = logging.StreamHandler(sys.stderr)
    err.setLevel(logging.WARNING)
    for handler in (out, err):
        handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [out, err]
    root.setLevel(logging.WARNING)
    # When nobody reads our output any more, there is nobody to tell it to.
    logging.raiseExceptions = False
    logging.getLogger("server").setLevel(level.upper() if level != "warn" else "WARNING")
    # Sanic calls it an error when a client sends a body that its route does not read.
    logging.getLogger("sanic.error").addFilter(
        lambda record: not record.getMessage().endswith("body not consumed.")
    )


def announce(message: str) -> None:
    """An INFO line, whatever LOG_LEVEL is: what the operator cannot do without."""
    log = logging.getLogger("server")
    log.handle(log.makeRecord(log.name, logging.INFO, "", 0, message, (), None))
