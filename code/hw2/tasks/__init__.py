"""One module per experiment; each reads as the recipe, top to bottom."""
