"""Defects to plant: name, symbol, what stands in it once, what is planted there, and the test that must fail."""

DEFECTS = [
    (
        "the ideal weights are read",
        "AnalogWeights.product",
        "substrate, weight = self.substrate, self.in_use()",
        "substrate, weight = self.substrate, self.value",
        "test_no_path_goes_past_the_device",
    ),
    (
        "pictures and copies see the ideal weights",
        "AnalogWeights.to_matrix",
        "self._effective(slice(None)).view(self.value.shape)",
        "self.value",
        "test_no_path_goes_past_the_device",
    ),
    (
        "a read with noise serves several passes",
        "AnalogWeights.__init__",
        "not substrate.read_noise and substrate.dac_bits",
        "substrate.dac_bits",
        "test_every_read_has_noise_of_its_own",
    ),
    (
        "read noise grows with the sum of the inputs, not of their squares",
        "AnalogWeights._noisy",
        "self.connectivity.sum_seen(rows.square()).sqrt_()",
        "self.connectivity.sum_seen(rows.abs())",
        "test_read_noise_on_the_sums_is_that_of_every_device_by_itself",
    ),
    (
        "pulses are rounded to the nearest number",
        "AnalogWeights._write",
        "torch.empty_like(wanted).uniform_(generator=generator)",
        "torch.full_like(wanted, 0.5)",
        "test_an_update_is_a_number_of_whole_pulses_and_right_on_average",
    ),
    (
        "decay is told the weights",
        "AnalogWeights._send_pulses",
        "self._read(turn, generator) *",
        "self.value.detach().view(-1)[turn] *",
        "test_smoothing_is_digital_and_decay_comes_as_pulses_on_what_is_read",
    ),
    (
        "drift adds up like a march",
        "AnalogWeights._wander",
        "math.sqrt(updates / self.substrate.run_length)",
        "(updates / self.substrate.run_length)",
        "test_drift_adds_up_to_the_stated_figure_over_the_run",
    ),
    (
        "the noise of a resumed training begins anew",
        "Noise._counts",
        "self._known = self._state(buffer), buffer.tolist()",
        "self._known = self._state(buffer), [0, 0]",
        "test_a_net_that_goes_on_from_its_state_learns_the_same_bitwise",
    ),
    (
        "neurons of a layer are the same",
        "Neurons.__init__",
        "substrate.threshold * signal * torch.randn(shape, generator=generator)",
        "substrate.threshold * signal * torch.ones(shape)",
        "test_each_neuron_has_a_threshold_in_units_of_the_signal",
    ),
]
