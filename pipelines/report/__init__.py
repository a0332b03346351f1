"""A run's images ranked by suspicion, as a page with pictures that needs no network."""
