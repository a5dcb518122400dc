"""Render the project's Quarto sources to PDF with nbclient, pandoc and latexmk.

The fallback for machines without Quarto. It reads the same `.qmd` files and
`_quarto.yml`, and refuses with file and line what it does not know: `metadata` lists
the options, `tree` the constructs, of the sources and of what chunks print. Four
stages, each usable alone: `source` (expand, split), `execute`, `weave`, `convert`.
"""

import sys

# jsonschema, which nbformat imports, builds 38 parsers of addresses in other alphabets
# where it finds this package. That takes longer than all else that is imported here.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
