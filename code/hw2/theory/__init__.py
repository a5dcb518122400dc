"""One module per question and task: its mathematical objects and the claims about them.

Every module here is found and loaded by `hw2.claims.registry`; adding one needs no
other line.
"""
