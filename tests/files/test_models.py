"""TOML in, a validated model or one line out."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field, ValidationError, model_validator

from covid_synth_data.errors import ConfigError
from covid_synth_data.files.models import FrozenModel, read_toml


class Inner(FrozenModel):
    depth: Annotated[int, Field(gt=0)] = 1
    names: list[str] = Field(default_factory=list)


class Outer(FrozenModel):
    title: str
    rate: float = 0.5
    inner: Inner = Inner()
    maybe: Inner | None = None
    many: dict[str, Inner] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _not_both(self) -> Outer:
        if self.maybe and self.many:
            raise ValueError("either maybe or many")
        return self


def read(tmp_path, text: str | bytes) -> Outer:
    path = tmp_path / "file.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_toml(path, Outer)


def test_a_sound_file(tmp_path):
    made = read(tmp_path, 'title = "x"\nrate = 1\n[inner]\ndepth = 2\nnames = ["a"]\n[many.one]\n')
    assert (made.title, made.rate, made.inner.depth, made.inner.names) == ("x", 1.0, 2, ["a"])
    assert made.maybe is None
    assert made.many == {"one": Inner()}


def test_settings_cannot_be_changed():
    made = Outer(title="x")
    with pytest.raises(ValidationError):
        made.title = "y"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the key 'title' is missing"),
        ('titel = "x"', "unknown key 'titel'; expected one of inner, many, maybe, rate, title"),
        ('titel = "x"', "did you mean 'title'"),
        ('title = "x"\nzzz = 1', "remove the key"),
        ('title = "x"\n[inner]\ndept = 1', "unknown key 'inner.dept'; expected one of depth, names"),
        ('title = "x"\n[maybe]\ndept = 1', "did you mean 'depth'"),
        ('title = "x"\n[many.one]\ndept = 1', "unknown key 'many.one.dept'"),
        ("title = 3", "wrong value for 'title'; found 3; expected a valid string"),
        ('title = "x"\nrate = "fast"', "wrong value for 'rate'; found 'fast'; expected a valid number"),
        ('title = "x"\ninner = 1', "wrong value for 'inner'; found 1"),
        ('title = "x"\n[inner]\ndepth = 1.0', "'inner.depth'; found 1.0; expected a valid integer"),
        ('title = "x"\n[inner]\ndepth = true', "'inner.depth'; found True"),
        ('title = "x"\n[inner]\ndepth = 0', "'inner.depth'; found 0; expected greater than 0"),
        ('title = "x"\n[inner]\nnames = ["a", 2]', "'inner.names.1'; found 2"),
        ('title = "x"\n[maybe]\n[many.one]', "expected either maybe or many"),
        ('title = "x"\ntitle = "y"', "is not valid TOML"),
        ("title", "is not valid TOML"),
        ("title = " + "[" * 9000, "is not valid TOML"),
        ("title = " + "1" * 9000, "is not valid TOML"),
        (b'title = "\xff"', "is not valid TOML"),
        (b"\x00\x01", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, text, says):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    line = str(caught.value)
    assert says in line
    assert str(tmp_path / "file.toml") in line
    assert "Next: " in line
    assert "\n" not in line
    assert len(line) < 500


def test_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "none.toml"):
        with pytest.raises(ConfigError, match="no file .*expected a TOML file"):
            read_toml(path, Outer)
