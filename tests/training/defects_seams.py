"""Defects to plant in the seams of the trainer; see scripts/plant_defects.py."""

DEFECTS = [
    (
        "gradients are not added up over processes",
        "apply_gathered",
        "learnable.gradient = gradient",
        "pass",
        "test_two_that_see_half_of_each_batch_learn_what_one_learns_that_sees_all",
    ),
    (
        "a batch is as large as the part of it that this process sees",
        "learning:count_of",
        "*reduce(weight.new_full((), len(weight)), weight.sum())",
        "weight.new_full((), len(weight)), weight.sum()",
        "test_two_that_see_half_of_each_batch_learn_what_one_learns_that_sees_all",
    ),
    (
        "mean activities are those of a part of the batch",
        "peer_gradient",
        "(total,) = reduce(total)",
        "pass",
        "test_two_that_see_half_of_each_batch_learn_what_one_learns_that_sees_all",
    ),
    (
        "devices are told nothing of the length of a run",
        "Trainer.__init__",
        "array.last(recipe.epochs * cases.batches(recipe.batch))",
        "pass",
        "test_a_trainer_tells_every_device_of_a_net_how_many_updates_the_run_has",
    ),
    (
        "a slope by autograd is the whole derivative",
        "_slope_by_autograd",
        "gradient / 2",
        "gradient",
        "test_the_slope_of_a_goodness_is_half_its_derivative",
    ),
]
