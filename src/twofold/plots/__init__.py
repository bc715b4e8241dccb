"""Functions that plot measured values and write the plots to PNG files.

These functions do not depend on nets or training: the caller passes the measured values.
"""

import logging


def _is_relevant(record: logging.LogRecord) -> bool:
    """Return False for matplotlib's messages about its cache folder, which it replaces by a temporary one."""
    message = record.getMessage()
    return not any(words in message for words in ("temporary cache dir", "not a writable dir", "mkdir -p failed"))


logging.getLogger("matplotlib").addFilter(_is_relevant)
