"""twofold: learning with two forward passes and no backpropagation, the Forward-Forward algorithm."""

from twofold.convolution import Convolution
from twofold.evaluate import test
from twofold.folder import Result
from twofold.layers import Dense, Layer, LocalModule, dense
from twofold.learning import Rule
from twofold.local import Fields, Local
from twofold.negatives import hard_wrong_labels, random_wrong_labels
from twofold.nets.backprop import Backprop
from twofold.nets.feedforward import FeedForward
from twofold.nets.recurrent import Recurrent
from twofold.nets.unsupervised import Unsupervised
from twofold.recipes import RECIPES
from twofold.recurrence import RecurrentLayer
from twofold.run import Run

__all__ = [
    "RECIPES",
    "Backprop",
    "Convolution",
    "Dense",
    "FeedForward",
    "Fields",
    "Layer",
    "Local",
    "LocalModule",
    "Recurrent",
    "RecurrentLayer",
    "Result",
    "Rule",
    "Run",
    "Unsupervised",
    "dense",
    "hard_wrong_labels",
    "random_wrong_labels",
    "test",
]
