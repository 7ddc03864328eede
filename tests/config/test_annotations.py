"""Values against annotations."""

import ast

import pytest

from ganrun.config.annotations import Many, fit, read_type
from ganrun.config.targets import read


def kind_of(annotation: str):
    return read_type(ast.parse(annotation, mode="eval").body, read("ganrun.engine.settings"))


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        ("int", 3, 3),
        ("int", 1e3, 1000),
        ("float", 1, 1.0),
        ("float", "1e-4", 1e-4),
        ("float", "-.5", -0.5),
        ("bool", True, True),
        ("str", "x", "x"),
        ("str", 2026, "2026"),
        ("str | None", None, None),
        ("Optional[int]", None, None),
        ("int | float | None", 100, 100),
        ("int | float | None", 0.5, 0.5),
        ("Literal['a', 'b']", "b", "b"),
        ("Literal['last'] | NonNegativeInt", "last", "last"),
        ("Literal['last'] | NonNegativeInt", 0, 0),
        ("PositiveInt", 1, 1),
        ("Fraction", 1, 1.0),
        ('Annotated[float, "> -1", "< 1"]', 0, 0.0),
        ("Positive | None", 0.01, 0.01),
    ],
)
def test_admitted_values_are_converted(annotation, value, expected):
    result, kind = fit(value, kind_of(annotation))
    assert kind is not None
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("int", 1.5),
        ("int", True),
        ("int", "abc"),
        ("int", None),
        ("float", "fast"),
        ("float", True),
        ("float", float("nan")),
        ("float", float("inf")),
        ("float", [1.0]),
        ("bool", 1),
        ("bool", "true"),
        ("str", None),
        ("str", True),
        ("Literal['a', 'b']", "c"),
        ("PositiveInt", 0),
        ("NonNegativeInt", -1),
        ("Positive", 0),
        ("Fraction", 1.01),
        ('Annotated[float, "> -1", "< 1"]', 1),
        ("Callable[[int], int]", 3),
        ("dict[str, int]", 3),
        ("Sequence[int]", {"a": 1}),
    ],
)
def test_other_values_are_refused(annotation, value):
    assert fit(value, kind_of(annotation))[1] is None


def test_types_read_as_a_person_would_say_them():
    assert str(kind_of("PositiveInt | None")) == "a whole number at least 1 or null"
    assert str(kind_of("Fraction")) == "a number at least 0 and at most 1"
    assert str(kind_of("Literal['cpu', 'cuda']")) == "one of cpu, cuda"
    assert str(kind_of("tuple[float, float]")) == "a list [a number, a number]"
    assert str(kind_of("list[int]")) == "a list, each a whole number"


def test_tuples_are_fixed_unless_they_end_in_dots():
    assert kind_of("tuple[int, int]").fixed
    for endless in ("tuple[int, ...]", "Sequence[int]", "list[int]"):
        kind = kind_of(endless)
        assert isinstance(kind, Many)
        assert not kind.fixed


def test_a_settings_class_is_a_section_and_other_classes_are_components():
    assert "halflife_images" in str(kind_of("AverageSettings"))
    assert "component" in str(kind_of("Game"))
    assert "component" in str(kind_of("nn.Module"))
