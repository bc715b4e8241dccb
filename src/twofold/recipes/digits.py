"""The 8 x 8 digits of scikit-learn, with a net that trains in seconds on any machine.

The images have no empty margin, so the label is inserted before the pixels and does not replace any pixel.
"""

from __future__ import annotations

from dataclasses import replace

from twofold.recipes import mnist

digits = replace(mnist.mnist, data="digits", widths=(500, 500, 500), batch=50, temperature=25.0, label_in="prepend")

twin = replace(mnist.twin, data="digits", widths=digits.widths, epochs=30, decay=0.0002, batch=50)
