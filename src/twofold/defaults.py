"""The default of each hyper-parameter. No second default stands anywhere else.

They train the embedded digits and MNIST well at any width. Recipes state only what differs.
"""

LEARNING_VERSION = 2
"""Raised by hand when a change of the code makes the same recipe learn other weights, or a test find other errors:
earlier records are stale then, and the trainings that claims share are done anew. A test that trains with this code and
with that of the commit before demands it."""

RATE = 0.02
"""Learning rate of the layers, at first."""
SCHEDULE = "constant_then_linear"
"""How all learning rates change during a training; see `schedules`."""
SOFTMAX_RATE = 0.1
"""Learning rate of a softmax that reads the layers; it falls like the other."""
TWIN_RATE = 0.1
"""Learning rate of the backprop twin."""
BATCH = 50
"""Cases per update."""
SMOOTHING = 0.9
"""Share of the old gradient that is kept at each batch."""
DECAY = 0.002
"""Weight decay of the layers, relative to the rate."""
TWIN_DECAY = 0.0002
"""Weight decay of the backprop twin."""
SOFTMAX_DECAY = 0.003
"""Weight decay of a softmax that reads the layers."""
TEMPERATURE = 1.5
"""Temperature of the objective, relative to the size of a layer's threshold divided by the root of its units."""
PEER = 0.03
"""Strength of peer normalization."""
LABEL_STRENGTH = 1.0
"""The number at a label's place in the input of a feedforward net."""
TOP_STRENGTH = 5.0
"""The number at a label's place at the top of a recurrent net."""
READ_FROM = 2
"""The first layer, counted from 1, that the tests of a feedforward net use."""
DAMPING = 0.3
"""Share of its old state that a recurrent layer keeps."""
ITERATIONS = 8
"""Iterations of a recurrent net in front of a still image."""
JUDGED = (3, 5)
"""First and last iteration whose goodness the slow test of a recurrent net averages."""
TOP_DOWN_START = 1.0
"""Size of the first weights to a layer above, relative to those of a recurrent layer's other sources."""
BLURS = 4
"""Blurs of the masks of hybrid images."""
LABEL_IN = "prepend"
"""How the label gets into the input of a feedforward net: in front of the pixels, which suits every picture."""
SHORTLIST = 3
"""Labels that the fast test hands to the slow one, where there are about ten."""
TABLE_WIDTHS = (200,)
"""Units of each layer of a net that learns from a table."""
TABLE_RATE, TABLE_INPUTS = 1.0, 32
"""Learning rate of the layers for a table of so many columns or fewer; for more of them it is lower in proportion,
since each adds to what a step changes."""
TABLE_CONSTANT = 1.0
"""The number behind the columns of a table, relative to the root of how many there are."""
TABLE_LABEL_STRENGTH = 0.5
"""The number at a label's place for a table, relative to the root of the number of columns."""
TABLE_EPOCHS, TABLE_STEPS = 16, 40
"""Epochs that a net learns from a table for, and the fewest steps: where a table is short there are more epochs."""
TABLE_VALIDATION = 0.1
"""Share of a table that is held out, to stop early or to calibrate probabilities."""
TABLE_PATIENCE = 10
"""Epochs without an improvement on what is held out after which a training stops."""
