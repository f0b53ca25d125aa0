"""Contrastive pre-training of whole towers on pixels: one idea per module, joined by `loop`."""
