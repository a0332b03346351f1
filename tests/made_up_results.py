"""What results that no run made are written with: the names of the metrics, and a run's settings."""

IMAGE, PIXEL = ("auroc", "ap", "f1_max"), ("auroc", "ap", "f1_max", "aupro", "aupro_200")

SETTINGS = {
    "method": "bayes-pfl",
    "backbone": "ViT-L-14-336:openai",
    "image_size": 518,
    "samples": 10,
    "seed": 0,
    "precision": "fp32",
    "checkpoints": {"VisA": {"file": "a_b.pth"}, "other.pth": {"file": "other.pth"}},
}
