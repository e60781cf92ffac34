"""Options of schedules: what gives no learning rates is refused, in one line."""

import re
from typing import Any

import pytest

from greenbench.errors import HyperparameterError
from greenbench.optimizers import make_schedule


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("step", {"every": 0}),
        ("step", {"every": 1.5}),
        ("step", {"gamma": -1.0}),
        ("linear_warmup", {"warmup": 2.0}),
        ("linear_warmup", {"warmup": -0.1}),
        ("linear_warmup", {"decay": "cubic"}),
        ("one_cycle", {"rise": 1.5}),
        ("cosine", {"floor": -1.0}),
        ("cosine", {"floor": 1e308}),
    ],
)
def test_option_out_of_range_is_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(HyperparameterError, match=re.escape(str(options))) as raised:
        make_schedule(name, options)
    assert repr(name) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_whole_training_may_rise_or_none(share: float) -> None:
    for name, option in (("one_cycle", "rise"), ("linear_warmup", "warmup")):
        factors = make_schedule(name, {option: share}).factors(10, 5)
        assert ((factors >= 0) & (factors <= 1)).all()
