"""Two small multimodal models of our own, shipped with UniQA: they describe photos on any CPU."""
