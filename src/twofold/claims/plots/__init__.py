"""Pictures of claims: the module of the same name here draws what a claim's own module measures."""
