"""Functions that draw measured values into PNG files.

They know nothing of nets or training: the caller measures first and passes the measured values.
"""

import logging


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Whether a message of matplotlib is not about the folder of its caches: where it cannot write into the user's, it
    takes a temporary one, and the pictures are the same."""
    said = record.getMessage()
    return not any(words in said for words in ("temporary cache dir", "not a writable dir", "mkdir -p failed"))


logging.getLogger("matplotlib").addFilter(_is_worth_a_line)
