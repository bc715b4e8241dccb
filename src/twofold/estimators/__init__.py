"""Estimators for scikit-learn, around nets that learn with two forward passes."""

from twofold.estimators.classifier import ForwardForwardClassifier
from twofold.estimators.features import ForwardForwardFeatures

__all__ = ["ForwardForwardClassifier", "ForwardForwardFeatures"]
