"""The corpus: one DuckDB file in which every image, caption, failure and decision is a row.

The only package that imports duckdb. `store` reads and writes, `opening` knows the file and its
troubles, `questions` what a user may ask.
"""

from curation.corpus.questions import VERDICT_COLUMNS, check_column, check_condition
from curation.corpus.store import Corpus, KnownFile, now, versions

__all__ = [
    "VERDICT_COLUMNS",
    "Corpus",
    "KnownFile",
    "check_column",
    "check_condition",
    "now",
    "versions",
]
