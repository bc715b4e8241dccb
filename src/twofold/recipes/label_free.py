"""Label-free Forward-Forward: every label is compared in one pass, and what is passed on does not depend on the label.

MNIST with single layers, in which no derivative crosses a layer, and with blocks of two layers.
"""

from __future__ import annotations

from dataclasses import replace

from twofold.methods import LabelFreeRecipe
from twofold.recipes import mnist

single_layers = LabelFreeRecipe(data="mnist", widths=(1000, 1000, 1000), epochs=30, batch=100, temperature=50.0)

blocks = replace(single_layers, widths=(1000, 1000, 1000, 1000), block_size=2)

blocks_twin = replace(mnist.twin, widths=blocks.widths)
