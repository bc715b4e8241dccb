"""twofold: learning with two forward passes and no backpropagation, the Forward-Forward algorithm."""

from twofold.layers.convolution import Convolution
from twofold.layers.layer import Dense, Layer, LocalModule, dense
from twofold.layers.local import Fields, Local
from twofold.layers.recurrent import RecurrentLayer
from twofold.learning import Rule
from twofold.negatives import hard_wrong_labels, random_wrong_labels
from twofold.nets.backprop import Backprop
from twofold.nets.feedforward import FeedForward
from twofold.nets.recurrent import Recurrent
from twofold.nets.unsupervised import Unsupervised
from twofold.recipes import RECIPES
from twofold.training.evaluate import test
from twofold.training.run import Run
from twofold.training.run_folder import Result

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
