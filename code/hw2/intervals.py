"""Intervals for what was measured over seeds, folds and splits."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """A mean with its confidence interval."""

    mean: float
    low: float
    high: float


def signed(number: float, digits: int = 2) -> str:
    """A change, with its sign; a minus is longer than a hyphen."""
    return f"{number:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def interval(
    values: Sequence[float], overlap: float = 0.0, confidence: float = 0.95
) -> Interval:
    """Student's interval for the mean of at least two values.

    Values of several splits of one data set are not independent, since the splits share
    rows. With `overlap`, the ratio of test rows to training rows, the variance of the
    mean is corrected for it: s^2 (1/n + overlap) in place of s^2 / n (Nadeau and
    Bengio, "Inference for the Generalization Error", 2003). Raises ValueError for fewer
    values.
    """
    if len(values) < 2:
        raise ValueError(
            f"{list(values)} is too little for an interval; at least two values are "
            "needed"
        )
    n, mean, spread = len(values), float(np.mean(values)), float(np.std(values, ddof=1))
    half = (
        float(stats.t.ppf((1 + confidence) / 2, n - 1))
        * spread
        * (1 / n + overlap) ** 0.5
    )
    return Interval(mean, mean - half, mean + half)


def unpaired(values: Sequence[float], base: Sequence[float]) -> Interval:
    """Welch's 95 % interval for the change of the mean between two samples that have
    nothing to pair.
    """
    found = stats.ttest_ind(values, base, equal_var=False).confidence_interval()
    return Interval(
        float(np.mean(values) - np.mean(base)), float(found.low), float(found.high)
    )


def difference(value: Mapping[str, Any], base: Mapping[str, Any]) -> Interval:
    """Change of one number of a run's summary against another, paired over seeds or
    folds, with its interval.
    """
    return interval(np.subtract(value["values"], base["values"]))
