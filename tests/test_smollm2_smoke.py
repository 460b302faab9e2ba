"""The frozen smoke of the default model, held token by token: what the chapter tells of it."""

import numpy as np
import pytest

from compute import catalog, metric, smoke
from compute.models import tokenizer
from compute.smoke import adjacency, candidates, structure
from compute.smoke.reachability import round_trip

HOLES = [
    [
        b"<issue_start>", b"<issue_closed>", b"<jupyter_code>", b"<jupyter_script>", b"<empty_output>",
        b"ManagementPlaneProtection", b" InstancePreprocess",
    ],
    [b"<file_sep>", b"<issue_comment>", b"<jupyter_start>", b"PlaneProtection"],
    [b"<gh_stars>", b" transistorsum"],
    [b"<jupyter_text>", b"<jupyter_output>"],
]  # fmt: skip


@pytest.fixture(scope="module")
def found(smollm2):
    gamma = smollm2.catalogue
    holes = smoke.census(gamma.stored())
    centre = structure.centre_of(holes)
    distance = catalog.row_norms(gamma.blocks(), gamma.rows([centre])[0].astype(float))
    step = adjacency.cell_size(gamma.stored(centre, centre + 1), gamma.storage)
    return holes, distance, structure.layers(distance, centre, step)


def test_the_black_holes_and_their_members(smollm2, found):
    holes = found[0]
    assert [[smollm2.vocabulary.bytes_of(int(i)) for i in ids] for ids in holes.members] == HOLES
    assert holes.unique_rows == 49_141 and holes.tokens_in_holes == 15
    assert holes.zero_rows.tolist() == []


def test_the_core_is_the_four_holes_and_the_cloud_thins_out_to_word_stumps(smollm2, found):
    holes, distance, layers = found
    assert set(layers.core) == set(np.concatenate(holes.members))
    assert layers.core_radius == pytest.approx(0.0079956, abs=1e-6)
    assert layers.gap.ratio == pytest.approx(6.93, abs=0.01)
    assert layers.gap.chance < 1e-4
    assert 1.9 < layers.edge < 2.2
    names = [smollm2.vocabulary.bytes_of(int(i)) for i in layers.oort]
    assert len(names) == 43
    assert names[:3] == [b"\x00", b"MetaInfoClass", b"swigfaiss"]
    assert {b"<|im_start|>", b"<|im_end|>", b"<repo_name>", b"<reponame>"} <= set(names)
    assert names[-3:] == [b"\r\r\n" + b" " * 8, b" lawsu", b" careg"]


def test_each_small_hole_is_one_step_from_the_large_one(smollm2, found):
    first = found[0].first_members
    places = adjacency.coordinates(smollm2.catalogue.stored()[first], "Q8_0")
    assert adjacency.cell_distances(places, "l1").tolist() == [
        [0, 1, 1, 1],
        [1, 0, 2, 2],
        [1, 2, 0, 2],
        [1, 2, 2, 0],
    ]
    linkage = adjacency.Linkage(adjacency.cell_distances(places))
    assert linkage.steps() == [(0, 4), (1, 1)]
    box = adjacency.bounding_box(places)
    assert box.varying.tolist() == [2, 210, 568]
    assert box.span.max() == 1


def test_all_candidates_can_be_produced_and_the_norm_betrays_none(smollm2, found):
    holes, distance, layers = found
    told = round_trip(smollm2.vocabulary.tokens, tokenizer.beside(smollm2).encoder())
    dead = candidates.candidates(layers, holes, distance, told.reachable)
    assert len(dead.ids) == 58
    assert not dead.unreachable.any()
    assert (dead.evidence == 2).sum() == 15
    gamma = smollm2.catalogue
    mu = catalog.centroid(gamma.blocks())
    axis = metric.eigenbasis(mu, metric.covariance(gamma.blocks(), mu)).axes[:, 0]
    signs = candidates.indicators(gamma.blocks(), gamma.rows(layers.core), axis, mu)
    assert candidates.agreement(signs.cosine_without_component, layers.ids).area > 0.999
    assert candidates.agreement(signs.cosine, layers.ids).among_lowest == 1
    assert candidates.agreement(signs.norm, layers.ids).area < 0.5
