"""One way out for every log line, ours and the libraries': structured, in UTC, without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Sequence
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED = "[redacted]"

#: Libraries whose everyday lines say nothing that ours do not; their warnings pass. They would
#: bring handlers of their own.
_LIBRARIES = ("alembic", "ccxt", "dbos", "uvicorn")


def configure_logs(level: str, log_format: str, secrets: Sequence[str]) -> None:
    """Send all logging of this process to stderr; calling it again starts over.

    Parameters
    ----------
    level : str
        ``debug``, ``info``, ``warning`` or ``error``.
    log_format : str
        ``json`` for one object a line, ``console`` for people.
    secrets : Sequence[str]
        Values that no line may show, wherever in it they turn up.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    every_event: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=every_event,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(log_format, colors=sys.stderr.isatty()),
                _Redacted(Redactor(secrets)),
            ],
        )
    )
    structlog.configure(
        processors=[*every_event, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(threshold)
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        library.handlers = [handler]
        library.propagate = False
    if threshold > logging.DEBUG:
        handler.addFilter(_is_ours_or_serious)


def _renderers(log_format: str, *, colors: bool) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [
        # The fancy formatters print local variables, and break lines inside a secret.
        structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _is_ours_or_serious(record: logging.LogRecord) -> bool:
    """Ask here, not of the library's level: DBOS sets its own when it is configured."""
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] not in _LIBRARIES


class Redactor:
    """Takes secrets out of text, in every spelling that text may have them in."""

    def __init__(self, secrets: Sequence[str]) -> None:
        spellings = {spelling for secret in secrets if secret for spelling in _spellings(secret)}
        longest_first = sorted(spellings, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def clean(self, text: str) -> str:
        return self._secrets.sub(REDACTED, text)


class _Redacted:
    """Works on the finished line, so that no key, nesting or traceback is a way around it."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> str:
        return self._redactor.clean(str(event))


def _spellings(secret: str) -> set[str]:
    """The value as it is, and as JSON, `repr` and URLs write it."""
    return {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe="")}
