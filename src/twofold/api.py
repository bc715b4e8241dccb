"""The public names of the package. ``twofold.NAME`` imports this module on first use."""

from typing import TYPE_CHECKING, Any

from twofold.activations import ACTIVATIONS, Activation
from twofold.data import Data, Dataset, as_dataset, read_data
from twofold.data import load as load_data
from twofold.errors import (
    ArgumentError,
    DataError,
    DeviceError,
    Diverged,
    Interrupted,
    Remark,
    RunError,
    SettingError,
    TwofoldError,
)
from twofold.exporting import export
from twofold.goodness import GOODNESS, Goodness
from twofold.instrument import Instrument, serve
from twofold.layers.black_box import BlackBox
from twofold.layers.connectivity import Connectivity, Full, Masked
from twofold.layers.convolution import Convolution
from twofold.layers.dense import Dense
from twofold.layers.fields import Fields
from twofold.layers.fixed import Fixed
from twofold.layers.local import LocallyConnected
from twofold.layers.module import CustomLayer
from twofold.layers.recurrent import RecurrentLayer
from twofold.layers.tiles import Tiled, top_down
from twofold.learning import Rule
from twofold.methods import (
    METHODS,
    BackpropRecipe,
    FeedForwardRecipe,
    LabelFreeRecipe,
    Recipe,
    RecurrentRecipe,
    UnsupervisedRecipe,
)
from twofold.negatives import NEGATIVES, hard_wrong_labels, random_wrong_labels
from twofold.nets.backprop import Backprop
from twofold.nets.feedforward import FeedForward
from twofold.nets.label_free import LabelFree
from twofold.nets.net import Evaluation, evaluate
from twofold.nets.recurrent import Recurrent
from twofold.nets.unsupervised import Unsupervised
from twofold.objectives import OBJECTIVES, Objective
from twofold.recipes import RECIPES
from twofold.recipes.own import recipe_for
from twofold.schedules import SCHEDULES
from twofold.substrate import Substrate
from twofold.training.result import Result
from twofold.training.runs import Run, draw, load
from twofold.training.train import train
from twofold.training.trainer import History, Trainer, fit

if TYPE_CHECKING:
    from twofold.estimators import ForwardForwardClassifier, ForwardForwardFeatures

__all__ = [
    "ACTIVATIONS",
    "GOODNESS",
    "METHODS",
    "NEGATIVES",
    "OBJECTIVES",
    "RECIPES",
    "SCHEDULES",
    "Activation",
    "ArgumentError",
    "Backprop",
    "BackpropRecipe",
    "BlackBox",
    "Connectivity",
    "Convolution",
    "CustomLayer",
    "Data",
    "DataError",
    "Dataset",
    "Dense",
    "DeviceError",
    "Diverged",
    "Evaluation",
    "FeedForward",
    "FeedForwardRecipe",
    "Fields",
    "Fixed",
    "ForwardForwardClassifier",
    "ForwardForwardFeatures",
    "Full",
    "Goodness",
    "History",
    "Instrument",
    "Interrupted",
    "LabelFree",
    "LabelFreeRecipe",
    "LocallyConnected",
    "Masked",
    "Objective",
    "Recipe",
    "Recurrent",
    "RecurrentLayer",
    "RecurrentRecipe",
    "Remark",
    "Result",
    "Rule",
    "Run",
    "RunError",
    "SettingError",
    "Substrate",
    "Tiled",
    "Trainer",
    "TwofoldError",
    "Unsupervised",
    "UnsupervisedRecipe",
    "as_dataset",
    "draw",
    "evaluate",
    "export",
    "fit",
    "hard_wrong_labels",
    "load",
    "load_data",
    "random_wrong_labels",
    "read_data",
    "recipe_for",
    "serve",
    "top_down",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import the scikit-learn estimators on first use, because importing scikit-learn is slow."""
    if name not in ("ForwardForwardClassifier", "ForwardForwardFeatures"):
        raise AttributeError(f"module 'twofold.api' has no attribute {name!r}")
    from twofold import estimators

    return getattr(estimators, name)
