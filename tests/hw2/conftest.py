"""One thread, for tests whose arrays are so small that more threads would only wait for
each other.
"""

import pytest
import torch
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="module")
def one_thread():
    """PyTorch's threads; sums are then in the same order in all processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def one_core():
    """The threads of BLAS and OpenMP, which scikit-learn uses."""
    with threadpool_limits(1):
        yield
