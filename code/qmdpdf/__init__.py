"""Render the project's Quarto sources to PDF with nbclient, pandoc and latexmk.

The fallback for machines without Quarto. It reads the same `.qmd` files and
`_quarto.yml`, and refuses with file and line what it does not know: `metadata` lists
the options, `tree` the constructs, of the sources and of what chunks print. Four
stages, each usable alone: `source` (expand, split), `execute`, `weave`, `convert`.
"""
