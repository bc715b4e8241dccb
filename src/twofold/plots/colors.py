"""Colors of all plots: the palette of Okabe and Ito, which is suitable for color-blind readers.

In all plots Forward-Forward and positive data are blue, negative data orange, and the backprop twin grey.
"""

from __future__ import annotations

POSITIVE, NEGATIVE, TWIN, INK, BLANK = "#0072B2", "#D55E00", "#8A8A8A", "#222222", "#D9D9D9"
TESTS = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#5B3A8C")
"""Colors of the tests (slow, fast, ...), in the order in which a plot shows them."""
