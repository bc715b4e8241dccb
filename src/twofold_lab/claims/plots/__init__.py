"""Pictures of claims: the module of the same name here draws what a claim's own module measures."""

import twofold.plots  # noqa: F401  # before matplotlib, as it says what matplotlib need not
