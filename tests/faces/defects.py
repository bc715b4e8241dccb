"""Defects to plant: name, symbol, what stands in it once, what is planted there, and the test that must fail."""

DEFECTS = [
    (
        "a net that is to rest on disk does not",
        "cli.commands:_train",
        "offload=options.offload and name != twin_name",
        "offload=False",
        "test_layers_rest_on_disk_where_the_command_says_so_and_those_of_a_twin_never_do",
    ),
    (
        "a twin is to rest on disk",
        "cli.commands:_train",
        "options.offload and name != twin_name",
        "options.offload",
        "test_layers_rest_on_disk_where_the_command_says_so_and_those_of_a_twin_never_do",
    ),
    (
        "the length of the shortlist does not arrive",
        "cli.commands:evaluate",
        "shortlist=options.shortlist",
        "shortlist=3",
        "test_a_longer_shortlist_is_what_was_asked_for",
    ),
    (
        "a default stands in two places",
        "Softmax.__init__",
        "decay: float = defaults.SOFTMAX_DECAY",
        "decay: float = 0.003",
        "test_no_default_of_a_hyper_parameter_stands_anywhere_but_in_one_place",
    ),
    (
        "the library is another algorithm than the page",
        "peer_gradient",
        "mean_activity.lerp_(mean, 0.1)",
        "mean_activity.lerp_(mean, 0.2)",
        "test_the_algorithm_on_one_page_is_the_librarys",
    ),
    (
        "a twin that there is not is left out without a word",
        "cli.commands:_train",
        "if options.with_twin and twin_name is None:",
        "if False:",
        "test_cli_mistakes::test_a_mistake_is_told_in_one_line_and_nothing_is_written",
    ),
    (
        "a public argument has no range",
        "Recurrent.neutral_top",
        "counts(0, count=count)",
        "pass",
        "test_a_wrong_value_is_refused_in_one_line_that_names_the_argument",
    ),
    (
        "a public method is not typed",
        "Recurrent.read_state",
        "@typed\n    ",
        "",
        "test_a_wrong_value_is_refused_in_one_line_that_names_the_argument",
    ),
    (
        "images of another precision are other images",
        "entering",
        "return images.to(like.dtype)",
        "return images",
        "test_another_form_of_the_right_value_gives_the_same",
    ),
]
