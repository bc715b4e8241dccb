"""Defects in trainings of a net of one's own, with entries as in defects.py."""

DEFECTS = [
    (
        "a run of an own net is read as one of its recipe's",
        "training.runs:load",
        "config.own_net != (net is not None)",
        "False",
        "test_a_run_says_whether_it_needs_an_own_net",
    ),
    (
        "what a recipe says of boxes drifts those of an own net",
        "_without_a_net",
        'names = method.recipe_type.having("of_net").keys() & usual.keys()',
        "names = {'widths'}",
        "test_what_a_recipe_says_of_a_net_is_not_heeded_for_an_own_one",
    ),
    (
        "a training of an own net learns in the recipe's",
        "training.train:train",
        "if net is None:\n                net = build",
        "if True:\n                net = build",
        "test_a_training_of_an_own_net_that_is_interrupted_ends_as_one_that_was_not_and_is_read_back",
    ),
]
