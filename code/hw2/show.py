"""Code of the package on the pages of the report, so that what is shown is what was run and tested."""

import inspect
from collections.abc import Callable

from IPython.display import Markdown


def source(*functions: Callable) -> Markdown:
    """The source of functions or classes of the package, as one block of Python."""
    blocks = [inspect.getsource(function).rstrip() for function in functions]
    return Markdown("```python\n" + "\n\n\n".join(blocks) + "\n```")
