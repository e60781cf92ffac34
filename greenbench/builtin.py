"""Built-in parts: where each is, by name; nothing is imported before it is asked for."""

from collections.abc import Mapping

from greenbench.cases.case import COMMAND

DATASETS: Mapping[str, str] = {
    "breast_cancer": "greenbench.datasets.scikit_tables:load_breast_cancer",
    "diabetes": "greenbench.datasets.scikit_tables:load_diabetes",
    "digits": "greenbench.datasets.digits:load_digits",
    "friedman": "greenbench.datasets.scikit_tables:load_friedman",
    "mnist": "greenbench.datasets.torchvision_sets:load_mnist",
    "fashion_mnist": "greenbench.datasets.torchvision_sets:load_fashion_mnist",
    "cifar10": "greenbench.datasets.torchvision_sets:load_cifar10",
    "image_folder": "greenbench.datasets.image_folder:load_image_folder",
    "shapes": "greenbench.datasets.shapes:load_shapes",
    "synthetic": "greenbench.datasets.synthetic:load_synthetic",
    "tabular": "greenbench.datasets.tabular:load_tabular",
    "text": "greenbench.datasets.text:load_text",
    "wine": "greenbench.datasets.scikit_tables:load_wine",
}

ARCHITECTURES: Mapping[str, str] = {
    "simple_cnn": "greenbench.architectures.paper:simple_cnn",
    "dense_poly": "greenbench.architectures.paper:dense_poly",
    "dense_linear": "greenbench.architectures.paper:dense_linear",
    "dense": "greenbench.architectures.paper:dense",
    "unet": "greenbench.architectures.unet:unet",
    "resnet_small": "greenbench.architectures.families:resnet_small",
    "vit_small": "greenbench.architectures.families:vit_small",
    "gpt_small": "greenbench.architectures.families:gpt_small",
    "mlp": "greenbench.architectures.families:mlp",
    "torchvision": "greenbench.architectures.libraries:torchvision",
    "timm": "greenbench.architectures.libraries:timm",
    "keras": "greenbench.architectures.libraries:keras",
}

TRAININGS: tuple[str, ...] = ()
"""Architectures that are trainings of one's own."""

MADE_ARCHITECTURES: Mapping[str, str] = {COMMAND: "greenbench.trainings.command:named"}
"""Those that are made when they are asked for, by how their names begin."""

BACKENDS: Mapping[str, str] = {
    "torch": "greenbench.backends.torch:TorchBackend",
    "keras": "greenbench.backends.keras:KerasBackend",
    "keras_jax": "greenbench.backends.keras:KerasBackend",
    "keras_tensorflow": "greenbench.backends.keras:KerasBackend",
    "own": "greenbench.trainings.backend:OwnBackend",
    "tabular": "greenbench.tabular.backend:TabularBackend",
}

STRATEGIES: Mapping[str, str] = {
    "default": "greenbench.strategies.default:DefaultStrategy",
    "grid": "greenbench.strategies.grid:GridStrategy",
    "grid_log": "greenbench.strategies.grid:GridLogStrategy",
    "random": "greenbench.strategies.random:RandomStrategy",
    "random_log": "greenbench.strategies.random:RandomLogStrategy",
    "sobol": "greenbench.strategies.sobol:SobolStrategy",
    "bayesian": "greenbench.strategies.bayesian:BayesianStrategy",
    "bayesian_pi": "greenbench.strategies.bayesian:BayesianPIStrategy",
    "bayesian_cost": "greenbench.strategies.bayesian:BayesianCostStrategy",
    "bayesian_warm": "greenbench.strategies.bayesian:BayesianWarmStrategy",
    "bayesian_paper": "greenbench.strategies.bayesian_paper:BayesianPaperStrategy",
    "tpe": "greenbench.strategies.optuna:TPEStrategy",
    "tpe_warm": "greenbench.strategies.optuna:TPEWarmStrategy",
    "gp": "greenbench.strategies.optuna:GPStrategy",
    "cmaes": "greenbench.strategies.optuna:CMAESStrategy",
    "survey": "greenbench.strategies.survey:SurveyStrategy",
}

SCHEDULERS: Mapping[str, str] = {
    "asha": "greenbench.schedulers.halving:AshaScheduler",
    "hyperband": "greenbench.schedulers.halving:HyperbandScheduler",
}

SPACES: Mapping[str, str] = {
    name: f"greenbench.strategies.spaces:{name.upper()}"
    for name in "adam paper3 paper5 rate adamw sgd rmsprop adagrad adadelta lion".split()  # noqa: SIM905
}

TASKS: Mapping[str, str] = {
    "classification": "greenbench.tasks.classification:CLASSIFICATION",
    "binary": "greenbench.tasks.classification:BINARY",
    "multilabel": "greenbench.tasks.multilabel:MULTILABEL",
    "regression": "greenbench.tasks.regression:REGRESSION",
    "language_modelling": "greenbench.tasks.language_modelling:LANGUAGE_MODELLING",
    "segmentation": "greenbench.tasks.segmentation:SEGMENTATION",
}

MADE_OPTIMIZERS: Mapping[str, str] = {
    "torch_": "greenbench.backends.torch_named_optimizers:options_by_name",
    "keras_": "greenbench.backends.keras_named_optimizers:options_by_name",
}
"""Those that are made when they are asked for, by how their names begin."""

OPTIMIZERS: Mapping[str, str] = {
    "adam": "greenbench.optimizers.options:AdamOptions",
    "adamw": "greenbench.optimizers.options:AdamWOptions",
    "sgd": "greenbench.optimizers.options:SGDOptions",
    "rmsprop": "greenbench.optimizers.options:RMSpropOptions",
    "adagrad": "greenbench.optimizers.options:AdagradOptions",
    "adadelta": "greenbench.optimizers.options:AdadeltaOptions",
    "lion": "greenbench.optimizers.options:LionOptions",
}

SCHEDULES: Mapping[str, str] = {
    "constant": "greenbench.optimizers.schedules:Constant",
    "cosine": "greenbench.optimizers.schedules:Cosine",
    "one_cycle": "greenbench.optimizers.schedules:OneCycle",
    "step": "greenbench.optimizers.schedules:Step",
    "linear_warmup": "greenbench.optimizers.schedules:LinearWarmup",
}

METERS: Mapping[str, str] = {
    "codecarbon": "greenbench.energy.codecarbon:CodecarbonMeter",
    "process": "greenbench.energy.process:ProcessMeter",
    "zeus": "greenbench.energy.zeus:ZeusMeter",
    "replay": "greenbench.energy.replay:ReplayMeter",
}

SUITES: Mapping[str, str] = {
    "ci": "greenbench.cases.suites:ci",
    "scaling": "greenbench.cases.suites:scaling",
    "strategies": "greenbench.cases.suites:strategies",
    "tabular": "greenbench.cases.suites:tabular",
    "backends": "greenbench.cases.suites:backends",
    "layers": "greenbench.cases.suites:layers",
    "paper": "greenbench.cases.suites:paper",
    "tasks": "greenbench.cases.suites:tasks",
}
