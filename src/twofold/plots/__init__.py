"""Functions that draw measured values to PNG files.

They are independent of nets and training: the caller passes the measured values.
"""

import logging


def _is_relevant(record: logging.LogRecord) -> bool:
    """Return False for messages about matplotlib's cache folder, which falls back to a temporary one."""
    message = record.getMessage()
    return not any(words in message for words in ("temporary cache dir", "not a writable dir", "mkdir -p failed"))


logging.getLogger("matplotlib").addFilter(_is_relevant)
