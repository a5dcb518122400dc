"""What the symbols of each section of the report mean: one module per section, whose
`WORLD` its formulas are evaluated in (see `hw2.formulas`).
"""
