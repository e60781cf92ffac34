"""Names: what the options say of the columns of somebody else's table."""

from dataclasses import dataclass

from greenbench.errors import ConfigurationError


@dataclass(frozen=True)
class Names:
    """How columns are called; None takes the first of the usual names that there is.

    Attributes
    ----------
    energy, accuracy, score, strategy, size, seed : str or None
        Columns; `score` is of any metric, in place of accuracies.
    order : str or None
        The column that orders trials; an empty text takes them in the order of rows.
    energy_unit : str or None
        ``wh``, ``kwh``, ``j`` or ``kj``; None reads it off the end of the column's name.
    accuracy_unit : str or None
        ``share`` or ``percent``; None takes percentages where cells or the name say so.
    group : tuple of str or None
        Columns that tell apart what is answered apart; None takes those of the usual names.
    lower_is_better : bool
        Which way the score points; usual names of losses say so by themselves.

    Raises
    ------
    ConfigurationError
        If a score is named as well as an accuracy, or an accuracy of which lower is better.
    """

    energy: str | None = None
    accuracy: str | None = None
    strategy: str | None = None
    size: str | None = None
    seed: str | None = None
    order: str | None = None
    energy_unit: str | None = None
    accuracy_unit: str | None = None
    group: tuple[str, ...] | None = None
    score: str | None = None
    lower_is_better: bool = False

    def __post_init__(self) -> None:
        if self.score is not None and self.accuracy is not None:
            raise ConfigurationError(
                f"--score-column {self.score} and --accuracy-column {self.accuracy} are given; "
                "name one, by which is judged"
            )
        if self.lower_is_better and self.accuracy is not None:
            raise ConfigurationError(
                "--lower-is-better contradicts --accuracy-column: of accuracies, higher is "
                "better; name an error rate with `--score-column`"
            )
