"""What the symbols of each section of the report mean: one module per section, whose
`WORLD` its formulas are evaluated in (see `hw2.formulas`).
"""

SECTIONS = ("q1", "q2", "q3", "q4", "q5", "q6", "t1", "t2", "t3")
