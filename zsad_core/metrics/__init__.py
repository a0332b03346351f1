"""Metrics of anomaly detection, computed from counts per distinct score that add up: exact, in any order."""
