"""Names of measurements that nobody gave."""

import pytest

from greenbench.measuring.asked import check_name, name_of_command


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("python", "train.py", "--lr", "1"), "train.py"),
        (("/usr/bin/python3.11", "-u", "some/train.py"), "train.py"),
        (("python", "-m", "pkg.train", "x.py"), "pkg.train"),
        (("python", "-c", "print(1)"), "python"),
        (("./a.out",), "a.out"),
        (("julia", "fit.jl"), "julia"),
        (("a<b>",), "a_b_"),
        (("..",), "program"),
        (("x" * 200,), "x" * 100),
    ],
)
def test_program_is_called_by_its_script(command: tuple[str, ...], name: str) -> None:
    assert check_name(name_of_command(command)) == name
