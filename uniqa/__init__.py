"""What curation and training share: photos, ratings, levels, splits, errors, the console.

Must not know of corpora, captions, engines or models: `curation` and `training` build on this
package and never import one another.
"""

__version__ = "0.1.0"
