"""The sum of two digits: a task that needs depth. Blocks of two layers learn it, single layers do not."""

from __future__ import annotations

from twofold.methods import BackpropRecipe, LabelFreeRecipe

digit_sums = LabelFreeRecipe(
    data="digit-sums-2",
    widths=(500, 500, 500, 500),
    block_size=2,
    epochs=20,
    batch=100,
    rate=0.2,
    temperature=35.0,
)

twin = BackpropRecipe(data="digit-sums-2", widths=digit_sums.widths, epochs=20, batch=100, rate=0.05, decay=0.002)
