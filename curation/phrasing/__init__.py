"""English for measurements: `grammar` builds sentences from the facts and words of the lexicons."""
