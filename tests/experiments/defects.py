"""Defects to plant: name, symbol, what stands in it once, what is planted there, and the test that must fail."""

DEFECTS = [
    (
        "the middle letter sees its neighbors",
        "claims.top_down:fields",
        "(3 * torch.arange(units) // units)[:, None] == cell",
        "(3 * torch.arange(units) // units)[:, None] >= cell",
        "test_each_third_of_the_first_layer_sees_one_letter",
    ),
    (
        "context changes the shape",
        "render",
        "fonts = torch.randint(len(FONTS), (len(texts),), generator=generator)",
        "fonts = torch.randint(len(FONTS), (len(texts),), generator=generator) * 0 + sum(map(ord, texts[0])) % 12",
        "test_a_letter_looks_the_same_in_every_context",
    ),
    (
        "every seed draws the same few images",
        "claims.regime:draw",
        "manual_seed(seed)",
        "manual_seed(0)",
        "test_few_images_are_drawn_by_the_seed_as_many_of_each_class_and_gone_through_often",
    ),
    (
        "a record of another recipe is current",
        "claims.made_of:_recipes",
        "if isinstance(value, Recipe) and",
        "if False and",
        "test_a_record_is_current_until_something_that_decides_its_figures_is_another",
    ),
    (
        "a record of another laboratory is current",
        "claims.made_of:_recipes",
        "re.findall(ASKED, inspect.getsource(module))",
        "list[tuple[str, str]]()",
        "test_a_record_is_stale_when_the_laboratory_gives_another_recipe_or_learning_has_changed",
    ),
    (
        "an edited record is current",
        "claims.records:status",
        "if intact is False:",
        "if False:",
        "test_a_record_that_does_not_say_what_it_was_made_of_is_undated_and_one_that_was_changed_is_edited",
    ),
    (
        "an earlier verdict is lost",
        "claims.records:write",
        '[*older.get("history", []), verdict]',
        "[verdict]",
        "test_an_earlier_verdict_stays_in_the_history_with_its_rule",
    ),
]
