"""The films of a recipe: which, how many copies of each, and never one that a benchmark tests on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import datasets
import numpy as np
import pytest

from covid_synth_data import tasks
from covid_synth_data.errors import EmptySplit
from covid_synth_data.files.pixels import load_grey
from covid_synth_data.mixing import with_classes
from covid_synth_data.tasks import TaskPlan, check_leaks, plan_task, to_splits
from generation.data import films
from generation.data.films import of_class, read_classes, training_rows
from generation.recipe import Data, FilmData, Recipe, load_recipe
from tests.generation.tiny import recipe_of
from tests.trees import chestxray, repository, save, xray

TASKS = ("normal-vs-covid", "pneumonia-vs-covid")
FOLDER = Path(__file__).resolve().parents[3] / "generation" / "recipes"
FROM_NOISE = [
    made for made in map(load_recipe, sorted(FOLDER.glob("*.toml"))) if isinstance(made.data, FilmData)
]
PHANTOM = {"size": 48, "patients": 12}

Planner = Callable[[Data, str, Path | None], TaskPlan]


@pytest.fixture(scope="module")
def plans() -> dict[str, TaskPlan]:
    """Both tasks on phantoms, planned once."""
    return {task: plan_task(task, None, sources=["phantom"], phantom=PHANTOM) for task in TASKS}


@pytest.fixture
def planned(plans, monkeypatch) -> dict[str, TaskPlan]:
    """What the recipes of a test are planned as; a test may change the frames."""
    copies = {task: replace(plan, frame=plan.frame.copy()) for task, plan in plans.items()}
    monkeypatch.setattr(films, "_plan", lambda data, task, root: copies[task])
    return copies


def recipe(**data: object) -> Recipe:
    phantoms = {"phantom": PHANTOM, "classes": ["normal", "pneumonia", "covid-19"], "size": 32}
    return recipe_of("diffaug", data={**phantoms, **data})


def read(made: Recipe) -> list[films.TrainingImages]:
    return read_classes(made, None, lambda done, total: None)


def test_a_recipe_reads_what_its_task_plans():
    """Once without any stand-in: options of the phantoms, the licence, the seed of the split."""
    made = recipe_of("dcgan", data={"tasks": [TASKS[0]], "size": 32, "phantom": PHANTOM, "split_seed": 2})
    ticks: list[tuple[int, int]] = []
    (side,) = read_classes(made, None, lambda done, total: ticks.append((done, total)))
    plan = plan_task(TASKS[0], None, seed=2, sources=["phantom"], phantom=PHANTOM)
    train = to_splits(plan)["train"]
    covid = [name for name, label in zip(train["image_id"], train["label"], strict=True) if label == 1]
    assert (side.label, side.image_ids) == ("covid-19", covid)
    assert side.licences == ["CC0 1.0"] * len(covid)
    assert ticks[-1] == (len(covid), len(covid))
    assert side.pixels.shape == (len(covid), 32, 32)


def test_each_task_is_planned_once(planned, monkeypatch):
    """Planning reads every film that it has no fingerprint of."""
    asked = []
    monkeypatch.setattr(films, "_plan", lambda data, task, root: asked.append(task) or planned[task])
    read(recipe())
    assert asked == list(TASKS)


def test_classes_come_in_the_order_of_the_recipe(planned):
    rows = training_rows(recipe().data, None)
    for classes in (["covid-19", "normal"], ["normal", "pneumonia", "covid-19"]):
        sides = read(recipe(classes=classes))
        assert [side.label for side in sides] == classes
        for side in sides:
            assert side.image_ids == list(of_class(rows, side.label)["image_id"])
            assert len(side.pixels) == len(set(side.image_ids))
            assert side.patient_ids == sorted(set(of_class(rows, side.label)["patient_id"]))


def test_tasks_whose_codes_differ_are_joined_by_the_names_of_classes(planned):
    """Code 0 is normal in one task and pneumonia in the other; each film keeps its class."""
    planned_class = {
        name: label
        for plan in planned.values()
        for name, label in zip(plan.frame["image_id"], plan.frame["class"], strict=True)
    }
    rows = training_rows(recipe(tasks=list(TASKS)).data, None)
    names = rows.features["label"].names
    found = {name: names[code] for name, code in zip(rows["image_id"], rows["label"], strict=True)}
    assert found == {name: planned_class[name] for name in found}
    assert set(found.values()) == {"normal", "pneumonia", "covid-19"}


def test_crops_multiply_each_film_and_stay_near_it(planned):
    whole = read(recipe(classes=["covid-19"]))[0]
    copies = read(recipe(classes=["covid-19"], crops=5))[0]
    assert len(copies.pixels) == 5 * len(whole.pixels)
    assert copies.image_ids == whole.image_ids
    assert copies.fingerprint() != whole.fingerprint()
    assert len(np.unique(copies.pixels.reshape(len(copies.pixels), -1), axis=0)) > 4 * len(whole.pixels)
    near = read(recipe(classes=["covid-19"], crops=5, max_crop=0.02))[0].pixels
    difference = np.abs(near[:, None].astype(int) - whole.pixels[None].astype(int)).mean((2, 3))
    own = np.repeat(np.arange(len(whole.pixels)), 5)
    # Another film of the same patient may be as near as the film itself; one of another patient never is.
    patient = np.array([name.rsplit("-", 1)[0] for name in whole.image_ids])
    assert (patient[difference.argmin(1)] == patient[own]).all()
    mirrored = np.abs(near - whole.pixels.repeat(5, 0)[:, :, ::-1].astype(int)).mean()
    assert difference.min(1).mean() < mirrored  # never flipped


def test_a_crop_cuts_no_more_than_it_may(planned):
    """A crop of nothing is the whole film; a wider limit cuts more."""
    whole = read(recipe(classes=["covid-19"]))[0].pixels.repeat(4, 0)
    distances = []
    for limit in (0.0004, 0.05, 0.2):
        copies = read(recipe(classes=["covid-19"], crops=4, max_crop=limit))[0].pixels
        distances.append(np.abs(copies.astype(int) - whole).mean())
    assert distances[0] < distances[1] < distances[2]
    margins = np.array(films._crops(recipe(crops=4).data, 50, (3, 1)))
    assert margins.shape == (50, 4, 4)
    assert (margins.min(), margins.max()) == (0, 50)  # thousandths: 0 to 5 % of each side


def test_crops_are_drawn_by_the_seed(planned):
    one, two = (read(recipe(classes=["covid-19"], crops=2))[0] for _ in range(2))
    assert np.array_equal(one.pixels, two.pixels)
    other = recipe(classes=["covid-19"], crops=2).model_copy(update={"seed": 4})
    assert not np.array_equal(read(other)[0].pixels, one.pixels)


def test_a_film_without_crops_is_read_whole(planned):
    side = read(recipe(classes=["normal"]))[0]
    rows = of_class(training_rows(recipe().data, None), "normal")
    assert all(
        np.array_equal(film, load_grey(cell, 32))
        for film, cell in zip(side.pixels, rows["image"], strict=True)
    )


def test_films_per_class_are_drawn_by_the_seed(planned):
    every = read(recipe())
    four = read(recipe(per_class=4))
    assert [len(side.image_ids) for side in four] == [4, 4, 4]
    for some, all_of in zip(four, every, strict=True):
        assert set(some.image_ids) < set(all_of.image_ids)
        assert some.image_ids == sorted(some.image_ids, key=all_of.image_ids.index)
    seeds = [recipe(per_class=4).model_copy(update={"seed": seed}) for seed in range(3)]
    assert len({tuple(read(made)[0].image_ids) for made in seeds}) > 1
    assert [side.image_ids for side in read(recipe(per_class=999))] == [side.image_ids for side in every]


def test_a_class_without_films_is_named(planned):
    with pytest.raises(EmptySplit, match="no 'pneumonia' film.*data"):
        read(recipe(tasks=[TASKS[0]], classes=["pneumonia"]))


def test_a_film_of_both_tasks_is_taken_once(planned):
    both = training_rows(recipe().data, None)
    covid = list(of_class(both, "covid-19")["image_id"])
    assert len(set(both["image_id"])) == len(both)
    assert covid == list(of_class(training_rows(recipe(tasks=[TASKS[0]]).data, None), "covid-19")["image_id"])


@pytest.mark.parametrize("part", ["test", "validation"])
def test_what_one_task_tests_on_is_learned_from_in_none(planned, part):
    """The second task holds out a patient whom the first would train on: all of its films are left out."""
    frame = planned[TASKS[1]].frame
    covid = frame[(frame["label"] == "covid-19") & (frame["split"] == "train")]
    patient = covid["patient_id"].value_counts().index[0]
    held = set(covid.loc[covid["patient_id"] == patient, "image_id"])
    before = set(training_rows(recipe().data, None)["image_id"])
    assert len(held) > 1
    assert held <= before
    frame.loc[frame["image_id"].isin(sorted(held)[:1]), "split"] = part
    assert set(training_rows(recipe().data, None)["image_id"]) == before - held
    alone = training_rows(recipe(tasks=[TASKS[0]]).data, None)
    assert held <= set(alone["image_id"])  # the first task by itself has no reason to


def test_validation_films_may_be_learned_from_where_the_recipe_says_so(planned):
    def parts_of(names: set[str]) -> set[str]:
        frames = [plan.frame for plan in planned.values()]
        return {part for frame in frames for part in frame.loc[frame["image_id"].isin(names), "split"]}

    assert parts_of(set(training_rows(recipe().data, None)["image_id"])) == {"train"}
    more = recipe(parts=["train", "validation"]).data
    assert parts_of(set(training_rows(more, None)["image_id"])) == {"train", "validation"}


def test_a_film_that_one_task_leaves_out_is_not_learned_from(planned):
    """It may be a copy of one that this task tests on; its patient's other films stay."""
    frame = planned[TASKS[1]].frame
    name = frame.loc[(frame["label"] == "covid-19") & (frame["split"] == "train"), "image_id"].iloc[0]
    before = set(training_rows(recipe().data, None)["image_id"])
    frame.loc[frame["image_id"] == name, ["split", "reason"]] = ["", "same film as one kept"]
    assert set(training_rows(recipe().data, None)["image_id"]) == before - {name}


def test_other_names_of_a_film_are_remembered(planned):
    for plan in planned.values():
        plan.frame["same_film"] = ""
    frame = planned[TASKS[0]].frame
    name = frame.loc[(frame["label"] == "normal") & (frame["split"] == "train"), "image_id"].iloc[0]
    frame.loc[frame["image_id"] == name, "same_film"] = "elsewhere/7"
    normal, _, covid = read(recipe())
    assert (normal.other_names, covid.other_names) == (["elsewhere/7"], [])


# --- the recipes that are shipped ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """COVID-19 films of two sets, children's films of three kinds."""
    root = tmp_path_factory.mktemp("root")
    covid = [(n, xray(f"c{n:03d}.png", n // 2, license="CC BY 4.0")) for n in range(24)]
    chestxray(root, [*covid, (2000, xray("side.png", 3, view="L"))])
    repository(root, [(100 + n, f"h{n:03d}", n // 2) for n in range(16)])
    for n in range(12):
        children = root / "chest_xray" / "train"
        save(children / "NORMAL" / f"IM-{n:04d}-0001.jpeg", 10_000 + n, 64)
        save(children / "PNEUMONIA" / f"person{n}_bacteria_{n}.jpeg", 20_000 + n, 64)
        save(children / "PNEUMONIA" / f"person{n}_virus_{n}.jpeg", 30_000 + n, 64)
        for number, kind in enumerate(("COVID", "Normal", "Viral Pneumonia")):
            name = f"{kind}-{70 + n}.png"
            save(root / "COVID-19_Radiography_Dataset" / kind / name, 40_000 + 1000 * number + n, 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COVID_SYNTH_CACHE", str(tmp_path_factory.mktemp("fingerprints")))
        yield root


def planner(root: Path) -> Planner:
    """Plans each of the few kinds of data once."""

    @cache
    def plan(task: str, protocol: str, licences: str, seed: int) -> TaskPlan:
        return tasks.plan_task(task, root, protocol, seed=seed, licences=licences)

    return lambda data, task, _: plan(task, data.protocol, data.licences, data.split_seed)


@pytest.fixture(scope="module")
def small_plans(small_root) -> Planner:
    return planner(small_root)


def protocols_of(name: str) -> tuple[str, ...]:
    return next(task.protocols for task in tasks.list_tasks() if task.name == name)


def no_test_film_is_learned_from(made: Recipe, plan: Planner) -> None:
    """The films of a recipe beside the test films of all tasks that have its protocol, under any licence."""
    learned = training_rows(made.data, None)
    names = [task for task in TASKS if made.data.protocol in protocols_of(task)] or made.data.tasks
    free = made.data.model_copy(update={"licences": "any"})
    tested = [to_splits(plan(free, task, None))["test"] for task in names]
    classes = list(dict.fromkeys(name for part in tested for name in part.features["label"].names))
    assert all(len(part) for part in tested)
    assert {learned.features["label"].str2int(label) for label in made.data.classes} <= set(learned["label"])
    together = datasets.concatenate_datasets([with_classes(part, classes) for part in tested])
    undecoded = together.cast_column("image", datasets.Image(decode=False))
    check_leaks({"train": learned, "test": undecoded})
    assert not set(learned["image_id"]) & set(together["image_id"])
    assert not set(learned["patient_id"]) & set(together["patient_id"])


@pytest.mark.parametrize("made", FROM_NOISE, ids=lambda made: made.name)
def test_no_test_film_of_either_task_is_trained_on(made, small_plans, monkeypatch):
    monkeypatch.setattr(films, "_plan", small_plans)
    no_test_film_is_learned_from(made, small_plans)


def test_the_shipped_recipes_of_menon2020_keep_its_hold_out():
    """What the test above covers: all recipes of the family, its published ones by the published protocol."""
    menon = [made for made in FROM_NOISE if made.family == "menon2020"]
    published = {made.name for made in menon if made.data.protocol == "menon2020"}
    assert published == {"menon-pretraining", "baseline-gan", "baseline-gan-plain", "transfer-gan", "mtt-gan"}
    assert {made.name.removesuffix("-cpu") for made in menon} == published
    assert all(made.training.flip is False for made in FROM_NOISE)


@pytest.mark.real_data
@pytest.mark.slow
def test_no_test_film_is_trained_on_in_the_real_sets(real_root, monkeypatch):
    plan = planner(real_root)
    monkeypatch.setattr(films, "_plan", plan)
    published = [made for made in FROM_NOISE if made.data.protocol == "menon2020"]
    for made in published:
        no_test_film_is_learned_from(made, plan)
    learned = {
        made.name: len(of_class(training_rows(made.data, None), made.data.classes[0])) for made in published
    }
    assert learned["menon-pretraining"] > 500
    assert 50 < learned["mtt-gan"] == learned["transfer-gan"] == learned["baseline-gan"] < 160
