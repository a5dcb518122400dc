"""The recorded runs that the project ships: each is what today's code gives, and
choices are what a search found.
"""

from dataclasses import asdict

import pytest

from hw2 import experiments, runs, searching
from hw2.tasks import magic, magic_baselines


@pytest.mark.parametrize("key", experiments.registry())
def test_every_experiment_names_its_seeds(key):
    assert experiments.registry()[key].seeds


@pytest.mark.parametrize("key", experiments.registry())
def test_every_experiment_is_recorded_whole_and_not_stale(key):
    assert experiments.outdated(key) == ""


@pytest.mark.parametrize(
    "key", [key for key, item in experiments.registry().items() if item.score]
)
def test_what_was_predicted_is_stored(key):
    task, name = key.split("/")
    run = runs.load(task, name)
    no_answers = {"transforms", "undone", "length", "asymmetric", "flips"}
    if not name.startswith("search") and name not in no_answers:
        assert runs.load_answers(run)
        assert not any("accuracy" in n for n in run.summary if "mirrored" not in n)


def found(name):
    run = experiments.get("magic", name)
    return searching.best(run.config, run.curves)


def test_the_network_is_the_best_of_its_search_with_more_members():
    assert asdict(magic.Config()) | {"members": 2} == found("search")


@pytest.mark.parametrize("name", magic_baselines.CHOSEN)
def test_the_tree_models_are_the_best_of_their_searches(name):
    assert magic_baselines.CHOSEN[name] == found(f"search_{name}")


def test_the_first_initialization_is_another_one_than_those_it_is_compared_with():
    assert (
        magic.Config().initialization
        not in experiments.get("magic", "initializations").summary
    )
