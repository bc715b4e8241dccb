"""Hyperparameter tuning of a recipe and its backprop twin, with the same number of trials, on held-out images.

record = tune("digits", trials=16, workers=2)
draw(record, Path("trials.png"))
"""
