"""Scikit-learn estimators that train nets with the Forward-Forward algorithm."""

from twofold.estimators.classifier import ForwardForwardClassifier
from twofold.estimators.features import ForwardForwardFeatures

__all__ = ["ForwardForwardClassifier", "ForwardForwardFeatures"]
