"""Figure of Question 1: the Bayes risk over mu, in theory and simulated, and what
single eigenvalues contribute.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hw2.theory.bayes_risk import Simulation, bayes_risk, optimal_mu, risk_terms


def risk(simulations: Sequence[Simulation], closer: int = 1) -> Figure:
    """Left: risk over mu for each simulation; right: four summands of simulation number
    `closer`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(5.9, 2.9))
    _risks(left, simulations)
    _terms(right, simulations[closer])
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel=r"$\mu$")
        axes.legend(loc="upper right", handlelength=1.6, labelspacing=0.3)
    return figure


def _risks(axes: Axes, simulations: Sequence[Simulation]) -> None:
    for i, item in enumerate(simulations):
        mu = np.geomspace(item.mu[0], item.mu[-1], 300)
        best = optimal_mu(item.eigenvalues.size, item.sigma_w, item.sigma_eps)
        setting = (item.sigma_w, item.sigma_eps)
        label = rf"$\sigma_\epsilon = {item.sigma_eps:g}$"
        axes.plot(
            mu,
            bayes_risk(item.eigenvalues, mu, *setting),
            f"C{i}",
            label=label,
            linestyle=("-", "--", "-.")[i],
        )
        axes.errorbar(
            item.mu,
            item.mean,
            2 * item.error,
            color=f"C{i}",
            fmt="osD"[i],
            markersize=2.6,
            capsize=2,
        )
        axes.plot(
            best,
            bayes_risk(item.eigenvalues, best, *setting),
            "k*",
            markersize=7,
            zorder=5,
        )
    axes.plot([], [], "k*", linestyle="", markersize=7, label=r"$\mu^\star$")
    axes.axhline(item.sigma_w**2, color="0.4", linestyle=":", linewidth=0.9)
    axes.text(
        simulations[0].mu[0],
        1.04 * item.sigma_w**2,
        r"$\sigma_w^2$",
        va="bottom",
        fontsize=8,
    )
    axes.set(
        ylabel=r"Bayes risk $\overline{\mathcal{R}}(w_\mu)$",
        title="the sum over all eigenvalues",
    )


def _terms(axes: Axes, item: Simulation) -> None:
    seen, d = item.eigenvalues[item.eigenvalues > 0], item.eigenvalues.size
    chosen = np.array([0, seen[-1], seen[seen.size // 2], seen[0]])
    mu, best = (
        np.geomspace(item.mu[0], item.mu[-1], 300),
        optimal_mu(d, item.sigma_w, item.sigma_eps),
    )
    spectrum = np.concatenate(
        [chosen, np.zeros(d - chosen.size)]
    )  # d eigenvalues, of which four are of interest
    at_best = risk_terms(spectrum, best, item.sigma_w, item.sigma_eps)
    for i, terms in enumerate(
        risk_terms(spectrum, mu, item.sigma_w, item.sigma_eps).T[: chosen.size]
    ):
        label = rf"$\lambda_i = {chosen[i]:.3g}$"
        axes.plot(
            mu,
            terms,
            ("C7", "C4", "C3", "C5")[i],
            linestyle=("-", "--", "-.", (0, (1, 1)))[i],
            label=label,
        )
        if chosen[i] > 0:  # for a zero eigenvalue every mu is as good
            axes.plot(best, at_best[i], "k*", markersize=7, zorder=5)
    axes.axvline(best, color="0.4", linestyle=":", linewidth=0.9)
    axes.set(
        ylabel="summand",
        title=rf"single eigenvalues, $\sigma_\epsilon = {item.sigma_eps:g}$",
    )
