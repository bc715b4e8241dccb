"""Default hyper-parameters. All other modules import the defaults from this module.

The defaults suit MNIST and the digits that come with the package, with layers of any width. Recipes state only
hyper-parameters that differ from the defaults.
"""

LEARNING_VERSION = 2
"""Version of the learning code. Increase it by hand when a code change alters trained weights or measured errors.
Records of earlier versions then count as outdated, and cached training runs are repeated. One of the tests
trains nets with the current code and with the previous commit, to check that the version was increased.
"""

RATE = 0.02
"""Initial learning rate of the layers."""
SCHEDULE = "constant_then_linear"
"""Schedule of all learning rates during a training run; see `schedules`."""
SOFTMAX_RATE = 0.1
"""Initial learning rate of the softmax classifier on the hidden layers. The schedule is the same as for `RATE`."""
TWIN_RATE = 0.1
"""Learning rate of the backprop twin, the same net trained by backpropagation."""
LABEL_FREE_RATE = 0.1
"""Initial learning rate of label-free nets."""
BATCH = 50
"""Batch size: number of cases per update."""
SMOOTHING = 0.9
"""Momentum: fraction of the old smoothed gradient that is kept at each batch."""
DECAY = 0.002
"""Weight decay of the layers, relative to the learning rate."""
TWIN_DECAY = 0.0002
"""Weight decay of the backprop twin."""
LABEL_FREE_DECAY = 0.005
"""Weight decay of label-free nets, relative to the learning rate."""
SOFTMAX_DECAY = 0.003
"""Weight decay of the softmax classifier on the hidden layers."""
TEMPERATURE = 1.5
"""Temperature of the objective, in units of |threshold of the layer| / √(units of the layer)."""
PEER = 0.03
"""Strength of peer normalization."""
LABEL_STRENGTH = 1.0
"""Value of the nonzero entry of the one-hot label in the input of a feedforward net."""
TOP_STRENGTH = 5.0
"""Value of the nonzero entry of the one-hot label at the top of a recurrent net."""
READ_FROM = 2
"""First layer, counted from 1, whose activities and goodness a feedforward net uses to predict labels."""
DAMPING = 0.3
"""Fraction of the old state that a recurrent layer keeps at each iteration."""
ITERATIONS = 8
"""Number of iterations of a recurrent net on a still image."""
JUDGED = (3, 5)
"""First and last iteration, counted from 1, over which the slow test of a recurrent net averages the goodness."""
TOP_DOWN_START = 1.0
"""Size of the initial top-down weights of a recurrent layer, relative to other initial weights of the layer."""
BLURS = 4
"""Number of blurs of the masks of hybrid images."""
LABEL_IN = "prepend"
"""Position of the label in the input of a feedforward net: before the pixels, which suits all images."""
SHORTLIST = 3
"""Number of labels that the fast test passes on to the slow test; suitable for data with about ten classes."""
TABLE_WIDTHS = (200,)
"""Number of units of each layer of a net for tabular data."""
TABLE_RATE, TABLE_INPUTS = 1.0, 32
"""Learning rate of the layers for a table, and the number of columns up to which it applies. For wider tables, the
learning rate is inversely proportional to the number of columns, since each column adds to the effect of a step.
"""
TABLE_SPARSE = 0.25
"""Share of nonzeros below which a column of a table is sparse. A sparse column is scaled, but not standardized."""
TABLE_SPARSE_RATE = 0.3
"""Learning rate for a table of sparse columns, relative to the learning rate for other tables."""
TABLE_CONSTANT = 1.0
"""Value of the constant column appended to a table, divided by the square root of the number of columns."""
TABLE_LABEL_STRENGTH = 0.5
"""Value of the nonzero entry of the one-hot label for a table, divided by √(number of columns)."""
TABLE_EPOCHS, TABLE_STEPS = 16, 40
"""Number of epochs on a table, and the minimum number of update steps: tables with few rows get more epochs."""
TABLE_VALIDATION = 0.1
"""Fraction of the rows of a table that is held out for early stopping or for calibrating probabilities."""
TABLE_PATIENCE = 10
"""Number of epochs without improvement on the held-out data after which training stops."""
