"""Entry points: arguments in, a pipeline called, a summary out."""
