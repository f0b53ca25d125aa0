"""Numbers about a photo that need no model: `measure` gathers those of `pixelstats` and `hues`."""
