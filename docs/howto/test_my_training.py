"""What my_training.py must do, as docs/howto/own-training.md shows it."""

import my_training  # noqa: F401  Importing it registers the training.

from greenbench.testing import TrainingConformance


class TestFinetune(TrainingConformance):
    training = "finetune.s"
    hyperparameters = {"learning_rate": 1e-3}  # noqa: RUF012
