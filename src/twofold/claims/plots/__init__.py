"""The pictures of claims: each claim measures in its own module, and is drawn by the module of that name here."""
