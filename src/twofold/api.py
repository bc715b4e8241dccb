"""The public names, which `import twofold` has at their first use."""

from twofold.data import as_dataset
from twofold.data import load as load_data
from twofold.exporting import export
from twofold.goodness import GOODNESS, Goodness
from twofold.layers.black_box import BlackBox
from twofold.layers.convolution import Convolution
from twofold.layers.dense import Dense
from twofold.layers.fields import Fields
from twofold.layers.fixed import Fixed
from twofold.layers.local import Local
from twofold.layers.module import LocalModule
from twofold.layers.recurrent import RecurrentLayer
from twofold.learning import Rule
from twofold.methods import METHODS
from twofold.negatives import NEGATIVES, hard_wrong_labels, random_wrong_labels
from twofold.nets.backprop import Backprop
from twofold.nets.feedforward import FeedForward
from twofold.nets.net import evaluate
from twofold.nets.recurrent import Recurrent
from twofold.nets.unsupervised import Unsupervised
from twofold.objectives import OBJECTIVES, Objective
from twofold.recipes import RECIPES
from twofold.substrate import Substrate
from twofold.training.run import load, train
from twofold.training.trainer import fit
from twofold.units import UNITS, Unit

__all__ = [
    "GOODNESS",
    "METHODS",
    "NEGATIVES",
    "OBJECTIVES",
    "RECIPES",
    "UNITS",
    "Backprop",
    "BlackBox",
    "Convolution",
    "Dense",
    "FeedForward",
    "Fields",
    "Fixed",
    "Goodness",
    "Local",
    "LocalModule",
    "Objective",
    "Recurrent",
    "RecurrentLayer",
    "Rule",
    "Substrate",
    "Unit",
    "Unsupervised",
    "as_dataset",
    "evaluate",
    "export",
    "fit",
    "hard_wrong_labels",
    "load",
    "load_data",
    "random_wrong_labels",
    "train",
]
