"""Are the tests awake? Plant one-line defects in a copy of the source, one at a time, and demand that each is caught.

    python scripts/plant_defects.py [WORD ...]    only the defects whose name has one of the words

For each defect the test that should catch it runs against the copy, by PYTHONPATH. That all of them pass without a
defect is tried first. Prints a table; the exit code is 1 where a defect survives. Takes four minutes of one core.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import sklearn.datasets  # noqa: F401
import torch

ROOT = Path(__file__).resolve().parents[1]


class Defect(NamedTuple):
    """``good``, which stands once in ``file``, becomes ``bad``, and then the ``test`` (file::name) must fail."""

    name: str
    file: str
    good: str
    bad: str
    test: str


DEFECTS = [
    Defect(
        "negative data are liked too",
        "learning.py",
        "return more, -less, need",
        "return more, less, need",
        "layers::test_the_closed_form_descends_the_written_out_loss",
    ),
    Defect(
        "the threshold is not used",
        "learning.py",
        "positive - threshold, negative - threshold, rule.temperature",
        "positive, negative, rule.temperature",
        "layers::test_the_closed_form_descends_the_written_out_loss",
    ),
    Defect(
        "the mean is subtracted",
        "normalize.py",
        "flat = activity.flatten(1)",
        "flat = activity.flatten(1) - activity.flatten(1).mean(1, keepdim=True)",
        "ground::test_the_mean_is_not_subtracted",
    ),
    Defect(
        "a silent unit has a slope",
        "goodness.py",
        "0.5 * (activity != 0).to(activity.dtype)",
        "0.5 * torch.ones_like(activity)",
        "ground::test_a_silent_unit_has_no_slope",
    ),
    Defect(
        "a negative may carry the true label",
        "negatives.py",
        "torch.randint(1, classes",
        "torch.randint(0, classes",
        "ground::test_a_negative_never_carries_the_true_label",
    ),
    Defect(
        "a hard negative may be true",
        "negatives.py",
        ".scatter(1, labels[:, None], -torch.inf)",
        "",
        "ground::test_a_negative_never_carries_the_true_label",
    ),
    Defect(
        "peer normalization is gated away",
        "layers/layer.py",
        "pull.to(wanted.dtype))",
        "pull.to(wanted.dtype) * (activity.mean(0) > 0))",
        "layers::test_the_pull_of_the_peers_is_one_and_the_same_for_every_positive_case",
    ),
    Defect(
        "silent units feel no peers",
        "learning.py",
        "need, pull / count)",
        "need, pull * (flat[:count].mean(0) > 0) / count)",
        "layers::test_peer_normalization_revives_a_silent_unit_and_nothing_else_does",
    ),
    Defect(
        "the bias feels one peer pull, not one a case",
        "layers/layer.py",
        " + len(signal) // 2 * pull",
        " + pull",
        "layers::test_the_pull_of_the_peers_is_one_and_the_same_for_every_positive_case",
    ),
    Defect(
        "gradients are not smoothed",
        "learning.py",
        "1 - rule.smoothing)",
        "1.0)",
        "ground::test_under_a_constant_gradient_smoothing_closes_the_same_share_of_the_gap_at_each_batch",
    ),
    Defect(
        "biases decay",
        "learning.py",
        "rule.decay and weight.dim() > 1",
        "rule.decay",
        "reference::test_thirty_batches_leave_the_weights_that_the_authors_recipe_leaves",
    ),
    Defect(
        "the rate never falls",
        "learning.py",
        "min(1.0, 2.0 * (1.0 - progress))",
        "1.0",
        "train::test_the_rate_is_constant_for_half_of_the_batches_and_then_falls_to_zero",
    ),
    Defect(
        "a graph leaves the layer",
        "layers/layer.py",
        "with torch.no_grad():\n            seen = self.judge(activity.detach()",
        "with torch.enable_grad():\n            seen = self.judge(activity",
        "layers::test_no_graph_leaves_a_layer",
    ),
    Defect(
        "the product with the images is stale",
        "layers/inputs.py",
        " or self._product[0] is not weight or self._product[1] != weight._version",
        "",
        "inputs::test_the_product_with_the_images_is_never_stale",
    ),
    Defect(
        "the product with the images is made anew",
        "layers/inputs.py",
        "if self._product is None or self._product[0] is not weight or self._product[1] != weight._version:",
        "if True:",
        "inputs::test_a_batch_costs_one_product_with_its_images",
    ),
    Defect(
        "total inputs forget the length",
        "layers/inputs.py",
        "self.scale[:, :, None].to(weight.dtype)",
        "torch.ones_like(self.scale[:, :, None]).to(weight.dtype)",
        "inputs::test_total_inputs_are_those_of_the_written_out_matrix",
    ),
    Defect(
        "the gradient forgets the length",
        "layers/inputs.py",
        "wanted * self.scale.flatten()[rows, None].to(kind)",
        "wanted * 1",
        "inputs::test_the_weight_gradient_is_that_of_the_written_out_matrix",
    ),
    Defect(
        "the length forgets the label",
        "layers/inputs.py",
        " + labels.square().sum(2, dtype=wide(labels))",
        " + 0 * labels.sum(2)",
        "inputs::test_written_out_it_is_each_picture_with_its_label_at_fixed_length",
    ),
    Defect(
        "peers do not pull on the label's weights",
        "layers/inputs.py",
        "torch.cat([labels[rows], stated])",
        "torch.cat([labels[rows], 0 * stated])",
        "inputs::test_the_weight_gradient_is_that_of_the_written_out_matrix",
    ),
    Defect(
        "half of a pair is left out",
        "layers/inputs.py",
        ".any(0))",
        ".all(0))",
        "inputs::test_what_goes_into_the_gradient_are_the_images_that_have_a_signal_under_any_label",
    ),
    Defect(
        "a batch without signals ends the training",
        "layers/inputs.py",
        "wanted.shape[1]).sum(0)",
        "-1).sum(0)",
        "inputs::test_where_no_case_has_a_signal_the_peers_still_pull",
    ),
    Defect(
        "the narrow weights are stale",
        "learning.py",
        " or self._state != self._state_of(weight)",
        "",
        "layers::test_the_narrow_copy_of_the_weights_is_never_stale",
    ),
    Defect(
        "the narrow weights are not renewed",
        "learning.py",
        "narrow.copy_(weight)",
        "pass",
        "ground::test_the_narrow_copy_is_renewed_with_the_weights",
    ),
    Defect(
        "the compiled update forgets the narrow weights",
        "training/compiled.py",
        "narrow.copy_(changed)",
        "pass",
        "fused::test_the_narrow_copy_of_a_fused_layer_is_never_stale",
    ),
    Defect(
        "weak signals are not raised to the tolerance",
        "learning.py",
        "size.clamp(min=tolerance)",
        "size",
        "shortcuts::test_sampled_signals_are_on_average_the_signals",
    ),
    Defect(
        "weak signals are always left out",
        "learning.py",
        "size > tolerance * u",
        "size > tolerance",
        "shortcuts::test_sampled_signals_are_on_average_the_signals",
    ),
    Defect(
        "the same cases are left out at every batch",
        "learning.py",
        "batches.double() * math.sqrt(2) % 1",
        "0.0",
        "shortcuts::test_other_cases_are_kept_in_other_batches",
    ),
    Defect(
        "pairs are torn",
        "learning.py",
        "torch.arange(signals.shape[1], device=signals.device)",
        "torch.arange(signals.numel(), device=signals.device).view_as(signals)",
        "shortcuts::test_a_pair_with_equal_signals_is_kept_or_left_out_together",
    ),
    Defect(
        "an easy pair may count five times the strongest",
        "learning.py",
        "torch.minimum(torch.maximum(signals * weight, -most), most)",
        "signals * weight",
        "layers::test_no_pair_counts_more_than_one_that_is_plainly_wrong",
    ),
    Defect(
        "the need is that of the positive case",
        "learning.py",
        "need = signals.abs().amax(0)",
        "need = signals.abs()[0]",
        "layers::test_the_need_of_a_pair_is_the_stronger_of_its_signals_whatever_it_counts",
    ),
    Defect(
        "a batch is not counted",
        "learning.py",
        "batches.add_(1)",
        "pass",
        "layers::test_what_a_layer_learns_under_a_tolerance_is_on_average_what_it_learns_without",
    ),
    Defect(
        "easy images are never seen again",
        "methods/method.py",
        ".clamp(self.recipe.revisit, 1.0)",
        ".clamp(0.0, 1.0)",
        "shortcuts::test_images_are_seen_again_with_the_chance_that_their_need_gives_and_not_rarer_than_revisit",
    ),
    Defect(
        "rare visits count no more than others",
        "methods/method.py",
        "1 / chances[cases]",
        "torch.ones_like(chances[cases])",
        "shortcuts::test_over_many_epochs_every_image_counts_the_same",
    ),
    Defect(
        "the need of other images is noted",
        "methods/method.py",
        "self.mistaken[cases], self.need[cases] = seen",
        "self.mistaken[cases], self.need[: len(cases)] = seen",
        "shortcuts::test_the_need_of_an_image_is_that_of_its_last_visit",
    ),
    Defect(
        "the stored logits are never renewed",
        "methods/method.py",
        "self.logits[cases[:asked]] = renewed.to(self.logits.dtype)",
        "pass",
        "shortcuts::test_the_first_of_a_batch_pass_neutrally_and_the_others_negatives_come_from_their_last_such_pass",
    ),
    Defect(
        "the softmax takes all for equally rare",
        "nets/classifier.py",
        "1 / len(labels) if weight is None else weight[:, None].to(wanted.dtype) / len(labels)",
        "1 / len(labels)",
        "feedforward::test_the_softmax_climbs_the_log_likelihood_and_gives_the_logits_from_before",
    ),
    Defect(
        "all layers learn at once in layer by layer",
        "methods/method.py",
        "if index in learners:",
        "if index < learners.stop:",
        "train::test_layer_by_layer_changes_one_layer_at_a_time_from_the_bottom_up",
    ),
    Defect(
        "the softmax sees the first layer",
        "nets/classifier.py",
        "if n in counted]",
        "if n < len(counted)]",
        "feedforward::test_the_fast_test_reads_the_counted_layers_under_the_neutral_label",
    ),
    Defect(
        "the slow test counts the first layer",
        "nets/classifier.py",
        "goodness[:, :, self.counted.start :].sum(2)",
        "goodness.sum(2)",
        "feedforward::test_the_slow_test_is_the_goodness_of_the_counted_layers_under_every_label",
    ),
    Defect(
        "the slow test makes images ready for each label",
        "nets/feedforward.py",
        "self.with_label(images, column)",
        "self.with_label(Images(images.rows), column)",
        "feedforward::test_a_test_under_many_labels_multiplies_with_each_picture_once",
    ),
    Defect(
        "the shortlist is one too short",
        "training/evaluate.py",
        "min(shortlist, net.classes)",
        "max(1, min(shortlist, net.classes) - 1)",
        "feedforward::test_evaluation_names_what_the_net_names_and_counts_the_errors",
    ),
    Defect(
        "the neutral label is a strong one",
        "labels.py",
        "classes), strength / classes",
        "classes), strength",
        "ground::test_the_neutral_input_is_the_mean_of_all_stated_ones",
    ),
    Defect(
        "a resumed run draws from the start again",
        "training/run_folder.py",
        "method.generator.set_state(generator)",
        "pass",
        "run::test_an_interrupted_training_ends_bitwise_as_one_that_was_not",
    ),
    Defect(
        "a resumed run forgets the velocities",
        "checkpoint.py",
        ", **dict(module.named_buffers())}",
        "}",
        "run::test_an_interrupted_training_ends_bitwise_as_one_that_was_not",
    ),
    Defect(
        "a resumed run forgets the logits",
        "methods/method.py",
        '{**super().tensors(), "logits": self.logits}',
        "super().tensors()",
        "run::test_an_interrupted_training_ends_bitwise_as_one_that_was_not",
    ),
    Defect(
        "a resumed run forgets the need",
        "training/run_folder.py",
        ', "need": method.need}',
        "}",
        "run::test_an_interrupted_training_ends_bitwise_as_one_that_was_not",
    ),
    Defect(
        "the test set is used for validation",
        "training/run.py",
        "data = data.hold_out(recipe.validation)\n",
        "pass\n",
        "train::test_with_a_validation_set_the_test_set_changes_nothing",
    ),
    Defect(
        "the twin has no momentum",
        "methods/method.py",
        "smoothing=recipe.smoothing",
        "smoothing=0.0",
        "feedforward::test_the_twin_is_the_plain_net_and_learns_as_it_does",
    ),
    Defect(
        "the twin's rate is that of a smoothed gradient",
        "methods/method.py",
        "self.rate / (1 - self.recipe.smoothing)",
        "self.rate",
        "feedforward::test_the_twin_is_the_plain_net_and_learns_as_it_does",
    ),
    Defect(
        "a file is written in place",
        "files.py",
        'tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)',
        "(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), str(path))",
        "run::test_a_full_disk_is_told_in_one_line_and_costs_no_checkpoint",
    ),
    Defect(
        "the goodness is of the damped state",
        "layers/recurrent.py",
        "rule.goodness.value(active))",
        "rule.goodness.value(state))",
        "recurrent::test_a_state_keeps_a_share_of_itself_and_the_goodness_is_of_the_new_activity",
    ),
    Defect(
        "damping is the other way round",
        "layers/recurrent.py",
        "damping * before + (1 - damping) * active",
        "(1 - damping) * before + damping * active",
        "recurrent::test_a_state_keeps_a_share_of_itself_and_the_goodness_is_of_the_new_activity",
    ),
    Defect(
        "layers settle one after the other",
        "nets/recurrent.py",
        "            sources = self.sources(frame, top, state)\n            state = self._respond(sources, state)",
        "            state = self._respond(self.sources(frame, top, state), state)\n"
        "            sources = self.sources(frame, top, state)\n            state = self._respond(sources, state)",
        "recurrent::test_the_closed_form_climbs_the_written_out_objective_and_is_greedy_in_time",
    ),
    Defect(
        "a later window replaces the earlier ones",
        "layers/recurrent.py",
        "_factors(seen, wanted, rows, batch), share)",
        "_factors(seen, wanted, rows, batch), 1.0)",
        "recurrent::test_how_many_iterations_are_one_product_changes_nothing",
    ),
    Defect(
        "the bias forgets earlier windows",
        "layers/recurrent.py",
        "addmv_(wanted, counted, beta=1 - share, alpha=share)",
        "addmv_(wanted, counted, beta=0, alpha=1)",
        "recurrent::test_how_many_iterations_are_one_product_changes_nothing",
    ),
    Defect(
        "rows are chosen by their count",
        "layers/recurrent.py",
        "tensor if len(busy) == cases == len(tensor) else",
        "tensor if len(busy) == len(tensor) else",
        "recurrent::test_cases_without_a_signal_are_left_out_of_the_product_and_of_nothing_else",
    ),
    Defect(
        "what stays the same is kept for ever",
        "layers/recurrent.py",
        "if self._kept is None or self._kept[0] != state or self._kept[1] != list(constant.values()):",
        "if self._kept is None:",
        "recurrent_train::test_nothing_that_is_computed_once_for_all_iterations_is_ever_stale",
    ),
    Defect(
        "frames before the first teach",
        "nets/recurrent.py",
        "            if number < first:\n                continue\n",
        "",
        "recurrent::test_frames_before_the_first_are_watched_and_teach_nothing",
    ),
    Defect(
        "a refused video leaves its gradients",
        "layers/recurrent.py",
        "        self._gathered, self._moments = {}, 0\n\n    def climb",
        "        pass\n\n    def climb",
        "recurrent_train::test_a_video_that_was_refused_leaves_nothing_behind",
    ),
    Defect(
        "fields are forgotten by the update",
        "layers/recurrent.py",
        "self.seen[name].mask(self._gathered[name])",
        "self._gathered[name]",
        "recurrent::test_units_see_their_fields_alone_before_and_after_learning",
    ),
    Defect(
        "top-down weights without top-down",
        "nets/recurrent.py",
        "if top_down or index == len(widths) - 1:",
        "if True:",
        "recurrent::test_without_top_down_weights_the_layers_below_the_top_know_nothing_of_the_label",
    ),
    Defect(
        "the slow test averages all iterations",
        "nets/recurrent.py",
        "[..., first - 1 :, :].mean(2)",
        ".mean(2)",
        "recurrent_train::test_the_slow_test_is_the_goodness_under_every_label_averaged_over_the_judged_iterations",
    ),
    Defect(
        "no floor",
        "learning.py",
        "clamp(min=rule.floor)",
        "clamp(min=0)",
        "recurrent_train::test_a_floor_wakes_a_silent_net_and_nothing_else_does",
    ),
    Defect(
        "a window of frames is never given back",
        "nets/recurrent.py",
        "            moments.clear()\n",
        "            moments[:] = list(moments)\n",
        "recurrent::test_a_video_is_looked_at_frame_by_frame_and_no_frame_is_kept_beyond_the_window",
    ),
    Defect(
        "the middle letter sees its neighbors",
        "claims/top_down.py",
        "(3 * torch.arange(units) // units)[:, None] == cell",
        "(3 * torch.arange(units) // units)[:, None] >= cell",
        "letters::test_each_third_of_the_first_layer_sees_one_letter",
    ),
    Defect(
        "context changes the shape",
        "data/letters.py",
        "fonts = torch.randint(len(FONTS), (len(texts),), generator=generator)",
        "fonts = torch.randint(len(FONTS), (len(texts),), generator=generator) * 0 + sum(map(ord, texts[0])) % 12",
        "letters::test_a_letter_looks_the_same_in_every_context",
    ),
    Defect(
        "a hybrid is a mean",
        "hybrids.py",
        "torch.lerp(images.roll(1, 0), images, mask)",
        "torch.lerp(images.roll(1, 0), images, 0 * mask + 0.5)",
        "hybrids::test_a_hybrid_has_each_pixel_from_one_of_two_images",
    ),
    Defect(
        "masks are blurred in one direction",
        "hybrids.py",
        "@ bits @ _blur(width, blurs, device).T",
        "@ bits",
        "hybrids::test_a_mask_is_where_blurred_bits_are_above_a_half",
    ),
    Defect(
        "positive data are hybrids too",
        "methods/method.py",
        "positive: Below = net.images(images).rows",
        "positive: Below = net.images(hybrids(images, recipe.blurs, self.generator)).rows",
        "hybrids::test_digits_are_told_apart_by_a_net_that_has_seen_no_label",
    ),
    Defect(
        "labels get into the first layer",
        "methods/method.py",
        "positive: Below = net.images(images).rows",
        "positive: Below = net.images(images).rows * (1 + labels[:, None])",
        "hybrids::test_labels_teach_the_softmax_and_no_layer",
    ),
    Defect(
        "weights grow outside the fields",
        "layers/local.py",
        "return gradient.mul_(self._mask)",
        "return gradient",
        "local::test_it_learns_what_a_dense_layer_learns_that_sees_no_more",
    ),
    Defect(
        "fields wander over the edge",
        "layers/local.py",
        "first = point * self.stride - self.margin",
        "first = point * self.stride",
        "local::test_it_learns_what_a_dense_layer_learns_that_sees_no_more",
    ),
    Defect(
        "tiles are as large as the map",
        "layers/local.py",
        "<= SPARE * fields.weights",
        "<= 100 * fields.weights",
        "local::test_no_more_than_twice_the_weights_are_stored",
    ),
    Defect(
        "units are put where their tile is",
        "layers/local.py",
        "made.index_select(0, self._places)",
        "made",
        "local::test_it_learns_what_a_dense_layer_learns_that_sees_no_more",
    ),
    Defect(
        "the narrow copy of a local layer is stale",
        "layers/layer.py",
        "self.update(self.weight, self.weight_velocity, gradient, rate, self.rule, narrow)",
        "self.update(self.weight, self.weight_velocity, gradient, rate, self.rule, None)",
        "local::test_copies_in_the_type_of_the_products_are_renewed",
    ),
    Defect(
        "weights grow where a mask has none",
        "layers/connectivity.py",
        "return gradient.mul_(self._mask)",
        "return gradient",
        "connectivity::test_products_are_those_of_the_written_out_matrix",
    ),
    Defect(
        "what was gathered before counts no less",
        "layers/connectivity.py",
        "beta=1 - share, alpha=share, out=gradient)",
        "beta=1, alpha=share, out=gradient)",
        "connectivity::test_products_are_those_of_the_written_out_matrix",
    ),
    Defect(
        "what a tile gathered before counts no less",
        "layers/local.py",
        "beta=1 - share, alpha=share, out=tile)",
        "beta=min(1, 2 - 2 * share), alpha=share, out=tile)",
        "connectivity::test_products_are_those_of_the_written_out_matrix",
    ),
    Defect(
        "top-down fields are shifted",
        "layers/local.py",
        "above.field, 1, above.field - 1 - above.margin)",
        "above.field, 1, above.margin)",
        "connectivity::test_units_see_from_above_what_sees_them",
    ),
    Defect(
        "a twin's weights grow outside its fields",
        "nets/backprop.py",
        ".seen.mask(leaf.grad)",
        ".seen",
        "connectivity::test_a_twin_with_fields_learns_what_one_with_masks_learns",
    ),
    Defect(
        "the label for all gets to the top alone",
        "nets/recurrent.py",
        'if label_to == "all" and index',
        'if label_to == "none" and index',
        "connectivity::test_with_the_label_for_all_it_is_in_every_layer_after_one_iteration",
    ),
    Defect(
        "grid points of a convolution add up",
        "layers/convolution.py",
        "asked / points",
        "asked",
        "convolution::test_it_learns_the_mean_of_what_its_grid_points_would_learn",
    ),
    Defect(
        "images are turned upside down",
        "data/transforms.py",
        "images.flip(3)",
        "images.flip(2)",
        "connectivity::test_mirrored_images_are_turned_over_left_to_right_every_other_time",
    ),
    Defect(
        "centered images keep their mean",
        "normalize.py",
        "normalize(flat - flat.mean(1, keepdim=True))",
        "normalize(flat)",
        "connectivity::test_centered_images_have_no_mean_and_the_length_of_normalized_ones",
    ),
    Defect(
        "every seed draws the same few images",
        "claims/regime.py",
        "manual_seed(seed)",
        "manual_seed(0)",
        "claims::test_few_images_are_drawn_by_the_seed_as_many_of_each_class_and_gone_through_often",
    ),
    Defect(
        "the test with the larger numbers decides alone",
        "nets/classifier.py",
        "return standard(slow) + standard(fast)",
        "return slow + fast",
        "feedforward::test_where_both_tests_have_a_say_it_is_the_same",
    ),
]


def caught(source: Path, tests: Sequence[str], tell: bool = False) -> bool:
    """Whether one of the tests fails on the package in ``source``. That they could not run at all is no catch.

    In a fork, so that what takes longest, importing torch, is done once; 99 is what a fork that fails says.
    """
    nodes = [f"tests/test_{test.replace('::', '.py::')}" for test in tests]
    with tempfile.TemporaryFile() as said:
        if (child := os.fork()) == 0:
            code = 99
            try:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                os.environ["PYTHONPATH"] = str(source)  # for what the tests start
                sys.path.insert(0, str(source))
                found = pytest.main(["-q", "-x", "-p", "no:cacheprovider", *nodes])
                if sys.modules["twofold"].__path__[0] == str(source / "twofold"):
                    code = int(found)
            finally:
                sys.stdout.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        if code not in (0, 1):
            sys.exit(f"{' '.join(nodes)} did not run against the copy ({code}):\n{said.read().decode()}")
        if tell and code:
            print(said.read().decode())
    return code == 1


def plant(source: Path, defect: Defect) -> None:
    """Write the defect into the copy of the package in ``source``."""
    path = source / "twofold" / defect.file
    code = path.read_text()
    if code.count(defect.good) != 1:
        sys.exit(
            f"{defect.name}: {defect.good!r} stands {code.count(defect.good)} times in {defect.file}, expected once"
        )
    path.write_text(code.replace(defect.good, defect.bad))


def main(words: list[str]) -> int:
    """Try each defect; the exit code is 1 where one survives, or where the tests fail without any."""
    chosen = [defect for defect in DEFECTS if not words or any(word in defect.name for word in words)]
    survivors = 0
    torch.set_num_threads(1)  # threads do not survive a fork
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)

        def copy() -> None:
            shutil.rmtree(source / "twofold", ignore_errors=True)
            shutil.copytree(ROOT / "src" / "twofold", source / "twofold", ignore=shutil.ignore_patterns("__pycache__"))

        os.chdir(ROOT)
        copy()
        if caught(source, sorted({defect.test for defect in chosen}), tell=True):
            sys.exit("the tests fail without any defect: nothing can be said of what they catch")
        for defect in chosen:
            copy()
            plant(source, defect)
            alive = not caught(source, [defect.test])
            survivors += alive
            print(f"{'SURVIVED' if alive else 'caught':8}  {defect.name:50}  {defect.test}", flush=True)
    print(f"\n{len(chosen) - survivors} of {len(chosen)} defects caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
