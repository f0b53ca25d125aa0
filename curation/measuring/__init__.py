"""Numbers about a photo that need no model: `measure` gathers what `pixelstats` and `hues` compute."""
