"""A method's options: the user's number, else the weights' own, else the published one, else the default."""

import pytest

from zsad_core.errors import UsageError
from zsad_core.methods.base import Option, describe_options, option_values

OPTIONS = {
    "alpha": Option(0.26, {"VisA": 0.35}, "weight of the normal prototypes"),
    "pooling": Option(5, {"VisA": 3, "BTAD": 7}, "side of the neighbourhood, in patches"),
}


@pytest.mark.parametrize(
    ("benchmark", "given", "of_weights", "expected"),
    [
        (None, {}, {}, {"alpha": 0.26, "pooling": 5}),
        ("MVTec-AD", {}, {}, {"alpha": 0.26, "pooling": 5}),
        ("VisA", {}, {}, {"alpha": 0.35, "pooling": 3}),
        ("VisA", {"alpha": 0.0}, {}, {"alpha": 0.0, "pooling": 3}),
        ("BTAD", {"pooling": 1}, {}, {"alpha": 0.26, "pooling": 1}),
        ("VisA", {}, {"alpha": 0.5}, {"alpha": 0.5, "pooling": 3}),
        (None, {"alpha": 0.0}, {"alpha": 0.5, "pooling": 1}, {"alpha": 0.0, "pooling": 1}),
    ],
)
def test_values(benchmark, given, of_weights, expected):
    assert option_values(OPTIONS, given, of_weights, benchmark) == expected


def test_unknown_ones_are_refused_with_those_there_are():
    with pytest.raises(UsageError) as error:
        option_values(OPTIONS, {"gamma": 1.0}, {})
    assert str(error.value) == (
        "--option gamma: not an option of the method; its options: alpha 0.26 (VisA 0.35): weight of the normal "
        "prototypes; pooling 5 (VisA 3, BTAD 7): side of the neighbourhood, in patches"
    )
    with pytest.raises(UsageError, match="its options: none"):
        option_values({}, {"gamma": 1.0}, {}, "VisA")


def test_in_words():
    assert describe_options({"one": Option(1, {}, "of few")}) == ["one 1: of few"]
