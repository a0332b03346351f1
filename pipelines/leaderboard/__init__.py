"""Runs beside each other and beside the published figures: entries, comparisons, tables and the page."""
