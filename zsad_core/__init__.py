"""What zero-shot anomaly detection computes: backbones, methods, maps, benchmarks and metrics; no Ray, no cluster."""
