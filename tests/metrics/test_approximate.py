"""The approximate search: true distances, few misses, the same answers again, and a clear word without it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from covid_synth_data.errors import MetricError, MissingExtra, UnknownName
from covid_synth_data.metrics import approximate, copies, neighbours, privacy

pytest.importorskip("faiss")


def films(n: int, seed: int = 0, width: int = 64, latent: int = 12) -> np.ndarray:
    """Rows near a surface of few dimensions, as features of films are."""
    random = np.random.default_rng([3, 1])
    surface = random.normal(size=(latent, width))
    random = np.random.default_rng([3, 2, seed])
    rows = np.tanh(random.normal(size=(n, latent)) @ surface / 3) + random.normal(0, 0.02, (n, width))
    return rows.astype(np.float32)


def test_most_neighbours_are_found_and_their_distances_are_exact():
    queries, references = films(300, 1), films(3000)
    exact = neighbours.nearest(queries, references, 5)
    found = neighbours.nearest(queries, references, 5, graph=approximate.Graph(references))
    shared = [len(set(a) & set(b)) for a, b in zip(exact.rows.tolist(), found.rows.tolist(), strict=True)]
    assert np.mean(shared) / 5 > 0.99
    gaps = np.linalg.norm(queries[:, None].astype(float) - references[found.rows], axis=2)
    np.testing.assert_allclose(found.distances, gaps, rtol=1e-12)
    assert (found.distances >= exact.distances).all()
    assert (np.diff(found.distances, axis=1) >= 0).all()


def test_planted_copies_are_found_at_distance_0():
    references = films(2000)
    graph = approximate.Graph(references)
    found = neighbours.nearest(references[:200], references, graph=graph)
    assert (found.distances == 0).all()
    assert found.rows[:, 0].tolist() == list(range(200))
    apart = neighbours.nearest(references, references, same=True, graph=graph)
    assert (apart.rows[:, 0] != np.arange(2000)).all()
    assert (apart.rows >= 0).all()


def test_the_same_rows_give_the_same_answers():
    queries, references = films(200, 1), films(2000)
    first, second = (approximate.Graph(references).nearest(queries, 30) for _ in range(2))
    assert (first == second).all()


@pytest.mark.parametrize("size", [10, 300, 1999])
def test_a_large_group_does_not_hide_the_others(size, monkeypatch):
    """Rows of the own group stand between a film and the nearest one of another patient."""
    monkeypatch.setattr(neighbours, "_FARTHEST", 100)
    references = films(2000)
    references[:size] = references[0] + films(size, 5) / 1000
    groups = np.r_[np.zeros(size), np.arange(1, 2001 - size)]
    around = {"query_groups": groups, "reference_groups": groups}
    graph = approximate.Graph(references)
    exact = neighbours.nearest(references, references, **around)
    found = neighbours.nearest(references, references, **around, graph=graph)
    assert (groups[found.rows[:, 0]] != groups).all()
    assert (found.rows[:, 0] == exact.rows[:, 0]).mean() > 0.95
    assert (found.rows[:size] == exact.rows[:size]).mean() > 0.9


def test_scores_of_copies_take_a_graph():
    training, made = films(600), films(300, 1)
    graph = approximate.Graph(training)
    agree = copies.authentic(training, made) == copies.authentic(training, made, graph=graph)
    assert agree.mean() > 0.98
    patients = np.arange(600) // 2
    agree = copies.authentic(training, made, patients) == copies.authentic(training, made, patients, graph)
    assert agree.mean() > 0.98
    exact = privacy.attack_scores(training, made)
    found = privacy.attack_scores(training, made, graph=approximate.Graph(made))
    assert list(found) == ["nearest", "neighbours"]
    assert (found["nearest"] == exact["nearest"]).mean() > 0.98


def test_a_graph_of_other_references_is_refused():
    with pytest.raises(MetricError, match=r"a graph of other references; found 50 rows; expected 60"):
        neighbours.nearest(films(5), films(60), graph=approximate.Graph(films(50)))


def test_the_search_is_named_and_its_library_asked_for(monkeypatch):
    assert not approximate.wanted("exact")
    assert approximate.wanted("approximate")
    assert approximate.settings("exact") == "exact"
    assert approximate.settings("approximate").startswith("approximate, HNSW graph with 16 links")
    with pytest.raises(UnknownName, match="did you mean 'approximate'"):
        approximate.wanted("aproximate")
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert not approximate.wanted("exact")
    with pytest.raises(MissingExtra, match=r"faiss.*\[search\]"):
        approximate.wanted("approximate")
