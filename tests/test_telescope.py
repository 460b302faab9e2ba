"""The plate of the telescope holds what was put into it, to half a step, whatever the catalogue."""

import json

import numpy as np
import pytest
from conftest import HOSTILE, ROOT
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from compute import exhibit, results, results_density, results_telescope, telescope, tokens
from compute.neighbors import nearest

FINITE = st.floats(-1e6, 1e6)


def planted(count: int, k: int, seed: int = 42, dim: int = 6) -> telescope.Plate:
    """A plate of a made-up cloud, three of its tokens in one place, with texts out to break pages among its own."""
    cloud = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    cloud[-3:] = cloud[-1]
    texts = [tokens.display(text.encode("utf-8", "surrogatepass"), i) for i, text in enumerate(HOSTILE)][:count]
    texts += [f"word{i}" for i in range(len(texts), count)]
    company = {}
    for space, stretch in (("gamma", 1), ("causal", np.arange(1, dim + 1, dtype=np.float32))):
        found = nearest(cloud * stretch, k)
        company[space] = telescope.Company(found.ids, found.distances, f"{space} units")
    norms = np.linalg.norm(cloud, axis=1)
    return telescope.Plate(
        label="planted <b>",
        texts=texts,
        script=["Latin" if i % 3 else "no script" for i in range(count)],
        hole=np.where(np.arange(count) < count - 3, -1, 0),
        coordinates=cloud[:, :3].astype(np.float64),
        measures={"raw norm": norms, "centred norm": norms, "causal norm": 3 * norms},
        company=company,
        examples=[3, 0, count - 1],
    )


def random_company(count: int, k: int) -> telescope.Plate:
    """A large plate whose neighbours are drawn at random: for sizes at which a search would take long."""
    generator = np.random.default_rng(42)
    near = telescope.Company(
        generator.integers(0, count, (count, k)), np.sort(generator.exponential(size=(count, k)), axis=1), "units"
    )
    return telescope.Plate(
        label="large",
        texts=[f"t{i}" for i in range(count)],
        script=["Latin"] * count,
        hole=np.full(count, -1),
        coordinates=generator.normal(size=(count, 3)),
        measures={name: generator.uniform(1, 2, count) for name in ("raw norm", "centred norm", "causal norm")},
        company={"gamma": near},
    )


def assert_same(seen: telescope.Plate, plate: telescope.Plate) -> None:
    """Everything that is counted is the same, everything that is measured is within half a step."""
    assert (seen.label, list(seen.texts), list(seen.script)) == (plate.label, list(plate.texts), list(plate.script))
    assert list(seen.examples) == list(plate.examples)
    np.testing.assert_array_equal(seen.hole, plate.hole)
    lines = {name: (seen.measures[name], values) for name, values in plate.measures.items()}
    lines |= {f"axis {i}": (seen.coordinates[:, i], plate.coordinates[:, i]) for i in range(3)}
    for name, (found, values) in lines.items():
        half = 0.5001 * np.ptp(values) / telescope.STEPS
        np.testing.assert_allclose(found, values, rtol=1e-12, atol=half, err_msg=name)
    assert list(seen.company) == list(plate.company)
    for space, near in plate.company.items():
        np.testing.assert_array_equal(seen.company[space].ids, near.ids)
        np.testing.assert_array_equal(seen.company[space].distances == 0, near.distances == 0)
        np.testing.assert_allclose(seen.company[space].distances, near.distances, rtol=0.501 * telescope.LOG_STEP)


@given(st.binary(max_size=400))
def test_a_script_carries_any_bytes(content):
    script = telescope.as_script(content)
    assert telescope.from_script(script) == content
    text = script.decode("utf-16")
    assert text.count('"') == 2 and "\\" not in text and text.count("\n") == 1
    assert len(script) <= 2 * (8 * len(content) / telescope.BITS + 1) + 80


@given(st.data())
def test_a_plate_comes_back(data):
    count = data.draw(st.integers(1, 30))
    k = data.draw(st.integers(1, 5))
    line = arrays.arrays(np.float64, count, elements=FINITE)
    shape = (count, k)
    positive = st.one_of(st.just(0.0), st.floats(1e-9, 1e9))
    near = telescope.Company(
        data.draw(arrays.arrays(np.int64, shape, elements=st.integers(0, count - 1))),
        np.sort(data.draw(arrays.arrays(np.float64, shape, elements=positive)), axis=1),
        "units",
    )
    text = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=8)
    plate = telescope.Plate(
        label=data.draw(text),
        texts=data.draw(st.lists(text, min_size=count, max_size=count)),
        script=data.draw(st.lists(st.sampled_from(["Han", "Latin", "no token"]), min_size=count, max_size=count)),
        hole=data.draw(arrays.arrays(np.int32, count, elements=st.integers(-1, 70_000))),
        coordinates=data.draw(arrays.arrays(np.float64, (count, 3), elements=FINITE)),
        measures={"norm": data.draw(line)},
        company={"gamma": near},
        examples=data.draw(st.lists(st.integers(0, count - 1), max_size=3)),
    )
    assert_same(telescope.unpack(telescope.pack(plate)), plate)


def test_a_planted_cloud_comes_back_and_packs_alike():
    plate = planted(400, 20)
    packed = telescope.pack(plate)
    assert telescope.pack(plate) == packed
    assert_same(telescope.unpack(telescope.from_script(telescope.as_script(packed))), plate)


def test_more_tokens_than_sixteen_bits_can_name():
    plate = random_company(70_000, 3)
    assert_same(telescope.unpack(telescope.pack(plate)), plate)


def test_ids_by_popularity_and_planes_of_zeros_cost_what_they_hold():
    """The worst case: neighbours without any structure. The planes of zeros above the ids must cost nearly nothing."""
    count, k = 20_000, 10
    entropy = count * k * np.log2(count) / 8
    plate = random_company(count, k)
    distances = np.ones((count, k))
    plate.company["gamma"] = telescope.Company(plate.company["gamma"].ids, distances, "units")
    numbers = 6 * 2 * count
    assert len(telescope.pack(plate)) < 1.08 * (entropy + numbers + 3 * count)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"texts": ["a\nb"] + ["c"] * 29}, "line end"),
        ({"texts": ["a"] * 29}, "29 tokens"),
        ({"hole": np.zeros(31, int)}, "another length"),
        ({"measures": {"norm": np.full(30, np.nan)}}, "30 values are not finite"),
        ({"company": {"g": telescope.Company(np.zeros((30, 2), int), np.ones((30, 3)), "u")}}, "do not speak"),
        ({"company": {"g": telescope.Company(np.full((30, 2), 30), np.ones((30, 2)), "u")}}, "do not speak"),
        ({"company": {"g": telescope.Company(np.zeros((30, 2), int), np.tile([2.0, 1.0], (30, 1)), "u")}}, "ascending"),
        ({"company": {"g": telescope.Company(np.zeros((30, 2), int), np.full((30, 2), np.inf), "u")}}, "ascending"),
    ],
)
def test_parts_that_do_not_fit_are_named(change, message):
    whole = planted(30, 2)
    with pytest.raises(ValueError, match=message):
        telescope.pack(telescope.Plate(**(vars(whole) | change)))


def test_another_format_is_refused():
    packed = telescope.pack(planted(30, 2))
    content = telescope.zlib.decompress(packed).replace(b'"format": 1', b'"format": 2')
    with pytest.raises(ValueError, match="format 2"):
        telescope.unpack(telescope.zlib.compress(content))


def test_the_plate_of_a_model_shows_its_results(hostile_model):
    model = results.model(str(hostile_model))
    gamma, words = model.catalogue, model.vocabulary
    made = results_telescope.plate(gamma, words)
    script = made["file"].read_bytes()
    seen = telescope.unpack(telescope.from_script(script))
    assert made["bytes"] == len(script) and made["neighbours"] == results_density.K
    np.testing.assert_array_equal(seen.company["causal"].ids, results_density.neighbours(gamma, "causal")["ids"])
    norms = results.norms(gamma)["centred"]
    np.testing.assert_allclose(seen.measures["centred norm"], norms, atol=np.ptp(norms) / telescope.STEPS)
    assert (seen.hole >= 0).sum() == results.census(gamma)["tokens_in_holes"] == 3
    assert seen.texts[0] == "<script>window.pwned=1</script>" and seen.texts[-1] == "word59"
    assert json.loads(json.dumps(seen.examples)) == results_telescope.examples(gamma, words)["ids"]


def test_the_default_model_fits_its_budget(smollm2):
    """6 MB for page, scripts, style and plate; the frame that every page of the book has takes a megabyte of it."""
    gamma, words = smollm2.catalogue, smollm2.vocabulary
    made = results_telescope.plate(gamma, words)
    own = [*(ROOT / "book/_static").glob("telescope*"), ROOT / "book/telescope.md"]
    assert made["bytes"] + sum(path.stat().st_size for path in own) < 5e6
    seen = telescope.unpack(telescope.from_script(made["file"].read_bytes()))
    for space, near in seen.company.items():
        np.testing.assert_array_equal(near.ids, results_density.neighbours(gamma, space)["ids"])


def test_the_exhibit_says_what_it_shows_and_names_its_file(hostile_model):
    model = results.model(str(hostile_model))
    made = results_telescope.plate(model.catalogue, model.vocabulary)
    shown = exhibit.telescope(made, results.norms(model.catalogue), alt='Words </div> and "quotes".')
    assert (shown.note["kind"], shown.note["file"]) == ("telescope", "plate.js")
    assert [item["function"] for item in shown.note["provenance"]][0] == "compute.results_telescope.plate"
    assert "</div> and" not in shown.body and "Words &lt;/div&gt; and &quot;quotes&quot;." in shown.body
    assert 0 < made["popular_share"] < 1 and made["plain"] == 2 * 80 * 20 * (4 + 8)
    with pytest.raises(ValueError, match="needs alt"):
        exhibit.telescope(made, alt=" ")
    with pytest.raises(TypeError, match="without provenance"):
        exhibit.telescope({"file": made["file"]}, alt="words")


def test_examples_are_different_tokens_and_say_why(hostile_model):
    model = results.model(str(hostile_model))
    found = results_telescope.examples(model.catalogue, model.vocabulary)
    assert len(set(found["ids"])) == len(found["ids"]) == len(found["why"]) == len(found["texts"])
    norms = results.norms(model.catalogue)["centred"]
    free = results.census(model.catalogue)["hole"] < 0
    nearest_token = found["ids"][found["why"].index("nearest to the centroid")]
    assert norms[nearest_token] == norms[free].min()
    assert "in a black hole of 3" in found["why"]
