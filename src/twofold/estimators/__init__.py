"""Estimators for scikit-learn, around nets that learn with two forward passes."""

from twofold.estimators.classifier import ForwardForwardClassifier

__all__ = ["ForwardForwardClassifier"]
