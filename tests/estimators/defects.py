"""Defects to plant: name, symbol, what stands in it once, what is planted there, and the test that must fail."""

DEFECTS = [
    (
        "an estimator learns from columns as they are",
        "Scaling.standardized",
        "self.scaler.transform(table.astype(np.float64))",
        "table.astype(np.float64)",
        "test_columns_of_any_size_are_learned_from_without_a_scaler",
    ),
    (
        "an estimator cannot tell how long a case is",
        "Scaling.cases",
        "defaults.TABLE_CONSTANT * math.sqrt(standard.shape[1])",
        "0.0",
        "test_how_long_a_case_is_can_be_told_though_a_net_sees_all_at_one_length",
    ),
    (
        "an estimator's best epoch is not gone back to",
        "ForwardForwardClassifier._stop_early",
        "self._restore(best)",
        "pass",
        "test_early_stopping_goes_back_to_the_best_epoch",
    ),
    (
        "an estimator's probabilities are not calibrated",
        "ForwardForwardClassifier._calibrate",
        "self.temperature_ = calibration.temperature(self._logits(judged[0]), judged[1])",
        "pass",
        "test_probabilities_are_calibrated_on_cases_that_were_held_out",
    ),
    (
        "an estimator rejects what is familiar",
        "ForwardForwardClassifier.predict",
        "self._familiarity(cases) < self.threshold_",
        "self._familiarity(cases) > self.threshold_",
        "test_what_looks_like_nothing_that_was_learned_from_is_less_familiar_and_rejected",
    ),
    (
        "familiarity is the goodness of one layer",
        "GoodnessClassifier.familiarity",
        "self.every_label(images)).sum(2)",
        "self.every_label(images))[:, :, -1]",
        "test_familiarity_is_the_share_of_the_best_label_in_all_goodness",
    ),
    (
        "an estimator's pickle holds tensors",
        "ForwardForwardEstimator.__getstate__",
        "tensor.detach().cpu().numpy().copy()",
        "tensor",
        "test_a_pickle_holds_no_tensor_so_that_it_goes_on_where_there_is_no_gpu",
    ),
    (
        "an estimator's label of what is rejected may be of any kind",
        "ForwardForwardClassifier._rejected",
        'kinds[0] != kinds[1] and kinds != ["i", "f"]',
        "False",
        "test_a_mistake_is_told_in_one_line",
    ),
    (
        "an estimator never learns from held-out cases where epochs are few",
        "ForwardForwardClassifier.fit",
        "min(round(EARLY * self.recipe_.epochs), self.recipe_.epochs - 1)",
        "round(EARLY * self.recipe_.epochs)",
        "test_all_cases_are_learned_from_in_the_end",
    ),
    (
        "an estimator's scaling sees what stops its training",
        "ForwardForwardClassifier.fit",
        "table[~aside.numpy()] if settings.early_stopping else table",
        "table",
        "test_what_stops_a_training_has_no_say_in_the_scaling_and_a_later_fit_forgets_it",
    ),
]
