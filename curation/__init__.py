"""From photos to a manifest: generate captions, refine them to signals, filter them by a policy.

The folder listing is the map. `cli` parses and prints; `corpus` is the only module that knows
DuckDB; `engines` run models. Nothing here knows of training: the manifest is all it gets.
"""
