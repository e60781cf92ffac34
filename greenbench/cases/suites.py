"""The named suites: functions that return lists of cases."""

from greenbench.cases import Case, matrix

GATE = "gate"
"""No suite of cases: under this name are results of revisions that were measured in turn."""

SIZES = ("xs", "s", "m", "l", "xl")
CNN_SIZES = [f"simple_cnn.{size}" for size in SIZES]
PAPER_NETWORKS = ("simple_cnn", "dense_poly", "dense_linear")
SEARCHES = (
    "default",
    "grid",
    "grid_log",
    "random",
    "random_log",
    "sobol",
    "bayesian",
    "random_log+asha",
    "bayesian+asha",
    "sobol+asha",
)
DENSE_SIZES = [f"dense.{size}" for size in SIZES]


def ci() -> list[Case]:
    """Return what runs in minutes: two families of sizes, four strategies, two backends."""
    sizes = matrix(networks=CNN_SIZES + DENSE_SIZES)
    searches = matrix(("grid", "random", "bayesian"), networks=["simple_cnn.s"])
    keras = matrix(("default", "bayesian"), networks=["simple_cnn.s"], backends=["keras"])
    return [*sizes, *searches, *keras]


def scaling() -> list[Case]:
    """Return both families of sizes on both backends, for diminishing returns."""
    return matrix(networks=CNN_SIZES + DENSE_SIZES, backends=["torch", "keras"], repeats=5)


def strategies() -> list[Case]:
    """Return searches of each kind, and the control, on the paper's three networks."""
    return matrix(SEARCHES, networks=PAPER_NETWORKS, trials=32, repeats=6)


def tabular() -> list[Case]:
    """Return the same searches on recorded trainings, which take milliseconds."""
    return [
        case
        for dataset in ("digits", "mnist", "cifar10")
        for case in matrix(
            SEARCHES,
            networks=PAPER_NETWORKS,
            backends=["tabular"],
            dataset=dataset,
            trials=32,
            epochs=9,
            repeats=6,
        )
    ]


def backends() -> list[Case]:
    """Return the paper's three networks on both backends."""
    return matrix(
        networks=PAPER_NETWORKS,
        backends=["torch", "keras"],
        repeats=5,
    )


def layers() -> list[Case]:
    """Return the paper's factorial: convolutions × linear layers × ReLU (RQ2)."""
    return [
        Case(
            architecture_options=(
                ("conv_layers", convolutions),
                ("linear_layers", linear),
                ("relu", relu),
            ),
            repeats=5,
        )
        for convolutions in (1, 4)
        for linear in (3, 7)
        for relu in (True, False)
    ]


def paper() -> list[Case]:
    """Return the paper's search (RQ1), and its control: 64 trials, 25 epochs, batch 512."""
    return matrix(
        ("default", "grid", "random", "bayesian_paper"),
        networks=PAPER_NETWORKS,
        dataset="fashion_mnist",
        space="paper3",
        trials=64,
        epochs=25,
        batch_size=512,
        repeats=1,
    )


def tasks() -> list[Case]:
    """Return one or two cases of each task that is built in, on data that need no download."""
    return [
        Case(architecture="mlp", size="s", dataset="breast_cancer", task="binary", repeats=5),
        Case(architecture="mlp", size="xs", dataset="diabetes", epochs=60, repeats=5),
        Case(
            architecture="gpt_small",
            size="s",
            dataset="text",
            optimizer="adamw",
            optimizer_options=(("learning_rate", 0.003),),
            schedule="linear_warmup",
            schedule_options=(("decay", "cosine"),),
            batch_size=32,
            epochs=5,
            repeats=5,
        ),
        Case(architecture="resnet_small", size="s", repeats=5),
        Case(
            architecture="vit_small",
            size="s",
            optimizer_options=(("learning_rate", 0.002),),
            schedule="cosine",
            batch_size=32,
            epochs=20,
            repeats=5,
        ),
        Case(
            architecture="unet",
            size="s",
            dataset="shapes",
            # At a constant rate, or after a cosine, more seeds never tell one shape from another.
            optimizer_options=(("learning_rate", 0.01),),
            schedule="one_cycle",
            batch_size=16,
            epochs=10,
            repeats=5,
        ),
    ]
