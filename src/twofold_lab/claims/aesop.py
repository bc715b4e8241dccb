"""The next character of a text can be learned from negative data that the net generates (draft of the paper).

The experiment is not built yet; it would measure accuracy and bits per character, with negative data from the text and
from the net itself.
"""

from __future__ import annotations

from twofold_lab.claim import Claim

CLAIM = Claim(
    "aesop",
    time="paper, draft only",
    says="The next character can be learned from negative data that the net generates.",
)
