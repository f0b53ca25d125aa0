"""Photos to try things on: real ones from installed packages, with known distortions."""
