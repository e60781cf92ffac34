"""A GPT that learns a text character by character: AdamW, warm-up, then a cosine."""

import pytest

from greenbench.cases import Case

CASE = Case(
    architecture="gpt_small",
    size="s",
    dataset="text",
    dataset_options={"context": 64, "limit": 100_000},
    optimizer="adamw",
    optimizer_options={"learning_rate": 3e-3, "beta2": 0.99, "weight_decay": 0.1},
    schedule="linear_warmup",
    schedule_options={"warmup": 0.1, "decay": "cosine", "floor": 0.1},
    epochs=5,
    batch_size=32,
    repeats=5,
)


@pytest.mark.greenbench([CASE])
def test_text_gpt(greenbench_case, greenbench_run):
    greenbench_run(greenbench_case)
