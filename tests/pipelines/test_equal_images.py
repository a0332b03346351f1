"""Groups of equal images against a comparison of every two."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.equal_images import (
    HashedImage,
    conflicts,
    conflicts_within,
    count_repeats,
    equal_images,
    repeats_across,
    repeats_within,
)

IMAGES = st.lists(
    st.builds(
        HashedImage,
        st.sampled_from("AB"),
        st.text("xyz", min_size=1),
        st.sampled_from([0, 1, None]),
        st.sampled_from("12345"),
    ),
    unique_by=lambda image: image[:2],
    max_size=12,
)


@given(IMAGES)
def test_groups_and_conflicts_are_those_of_every_two(images):
    groups = equal_images(images)
    pairs = {frozenset(pair) for pair in combinations(images, 2) if pair[0].sha256 == pair[1].sha256}
    assert {frozenset(pair) for group in groups for pair in combinations(group, 2)} == pairs
    assert count_repeats(groups) == len(images) - len({image.sha256 for image in images})
    contradicting = {pair for pair in pairs if {image.label for image in pair} == {0, 1}}
    found = [frozenset(pair) for pair in conflicts(groups)]
    assert len(found) == len(set(found)) and set(found) <= contradicting
    assert {image.sha256 for pair in found for image in pair} == {
        image.sha256 for pair in contradicting for image in pair
    }
    assert equal_images(list(reversed(images))) == groups


def test_lines():
    a = [HashedImage("A", key, 0, sha256) for key, sha256 in zip("pqrstuv", "1112233")]
    groups = equal_images(a)
    assert repeats_within(groups, 7) == ["4 of 7 files have the same bytes as another: p = q, p = r, s = t, ..."]
    assert conflicts_within(groups) == [] == repeats_across(groups) == repeats_within([], 7)
    b = [HashedImage("B", "x", 1, "1"), HashedImage("B", "y", 0, "3"), HashedImage("C", "z", None, "3")]
    assert repeats_across(equal_images(a + b)) == [
        "A and B have 2 images in common: p = x, u = y",
        "A and C have 1 images in common: u = z",
        "B and C have 1 images in common: y = z",
    ]
    assert conflicts_within(equal_images([a[0], HashedImage("A", "z", 1, "1")])) == [
        "1 files have the bytes of another but not its label: p (normal) = z (anomalous)"
    ]
