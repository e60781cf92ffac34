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
MANY = 11
"""Repeats by which each two of ten strategies can be told apart at 5%: 45 × 2 / 2**11 is below."""


def ci() -> list[Case]:
    """Return what is decided in minutes: which of three sizes, and what a change costs.

    Sizes have as many repeats as a proof takes, of a second or so each; a search and another
    backend are there for what they cost. All of a family is in `scaling`, and all searches are
    in `strategies`.
    """
    sizes = matrix(networks=[f"simple_cnn.{size}" for size in ("s", "m", "l")], repeats=10)
    search = matrix(("bayesian",), networks=["dense.s"], trials=8, repeats=6)
    keras = matrix(networks=["simple_cnn.s"], backends=["keras"], repeats=6)
    return [*sizes, *search, *keras]


def scaling() -> list[Case]:
    """Return both families of sizes on both backends, for diminishing returns."""
    return matrix(networks=CNN_SIZES + DENSE_SIZES, backends=["torch", "keras"], repeats=5)


def strategies() -> list[Case]:
    """Return searches of each kind, and the control, on the paper's three networks."""
    return matrix(SEARCHES, networks=PAPER_NETWORKS, trials=32, repeats=MANY)


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
            repeats=MANY,
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
    """Return the paper's search (RQ1), and its control: 64 trials, 25 epochs, batch 512.

    Eight repeats can tell each two of four strategies apart.
    """
    return matrix(
        ("default", "grid", "random", "bayesian_paper"),
        networks=PAPER_NETWORKS,
        dataset="fashion_mnist",
        space="paper3",
        trials=64,
        epochs=25,
        batch_size=512,
        repeats=8,
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
            epochs=30,
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
