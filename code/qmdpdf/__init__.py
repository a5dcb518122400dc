"""Render the project's Quarto sources to PDF with jupytext, nbclient, pandoc and
latexmk.

The fallback for machines without Quarto. It reads the same `.qmd` files and
`_quarto.yml`, supports the constructs that the report uses, and refuses any other with
file and line. Four stages, each usable alone: `source` (expand, parse) -> `execute` ->
`weave` -> `convert`.
"""
