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
]
