"""Tuning: a recipe and its backprop twin, each trained with as many settings of one search space, on held-out images.

found = tune("digits", trials=16, workers=2)
record.draw(found, Path("trials.png"))
"""
