"""Where in the user's code an error, a warning or a part is."""

import functools
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from greenbench.errors import ArchitectureError, DatasetError, GreenbenchError
from greenbench.machine.places import at, calling, described, place_of, place_of_call

SOURCE = """
import functools
import json
import warnings

from greenbench.architectures import Linear, Spec


def fails():
    raise AttributeError("no attribute 'fc2'")


def fails_inside_a_library():
    return json.loads("{")


def fails_inside_greenbench():
    return Spec("mine", (1, 4, 4), [Linear(2)])


def fails_in_the_end():
    try:
        fails()
    except AttributeError as error:
        raise ValueError("wrapped\\n  on two lines") from error


def logged(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)
    return wrapper


@logged
def decorated(image_shape, classes):
    return None


class Part:
    def __call__(self):
        return None

    def method(self):
        return None


def calls(function):
    return function()
"""

Import = Callable[[str], ModuleType]


@pytest.fixture
def import_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    """Import the source from a folder below the working folder."""

    def load(folder: str) -> ModuleType:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "mynet_of_places.py").write_text(SOURCE)
        monkeypatch.syspath_prepend(str(tmp_path / folder))
        monkeypatch.delitem(sys.modules, "mynet_of_places", raising=False)
        importlib.invalidate_caches()
        return importlib.import_module("mynet_of_places")

    return load


@pytest.fixture
def mynet(import_from: Import) -> ModuleType:
    return import_from("nets")


def line_of(text: str) -> int:
    return 1 + SOURCE.splitlines().index(text)


def text_of(function: Callable[[], Any]) -> str:
    # As if greenbench had called it: the frame of the test is none of the traceback.
    with pytest.raises(Exception) as caught:  # noqa: PT011
        function()
    assert caught.tb.tb_next is not None
    return described(caught.value.with_traceback(caught.tb.tb_next))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (
            "fails",
            (
                "AttributeError: no attribute 'fc2'",
                "    raise AttributeError(\"no attribute 'fc2'\")",
            ),
        ),
        ("fails_inside_a_library", ("JSONDecodeError: ", '    return json.loads("{")')),
        (
            "fails_inside_greenbench",
            ("mine: Linear needs a vector", '    return Spec("mine", (1, 4, 4), [Linear(2)])'),
        ),
        (
            "fails_in_the_end",
            (
                "ValueError: wrapped on two lines",
                '        raise ValueError("wrapped\\n  on two lines") from error',
            ),
        ),
    ],
)
def test_error_names_the_innermost_line_of_the_user(
    mynet: ModuleType, function: str, expected: tuple[str, str]
) -> None:
    start, line = expected
    text = text_of(getattr(mynet, function))
    assert text.startswith(start)
    assert text.endswith(f"(mynet_of_places.py:{line_of(line)})")


def test_place_is_relative_to_the_working_folder(
    mynet: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_of(mynet.fails) == f"nets/mynet_of_places.py:{line_of('def fails():')}"


def test_part_is_found_through_decorators_and_partials(mynet: ModuleType) -> None:
    expected = f"mynet_of_places.py:{line_of('@logged')}"
    assert place_of(mynet.decorated) == expected
    assert place_of(functools.partial(functools.partial(mynet.decorated, (1, 2, 2)), 3)) == expected
    assert place_of(functools.cache(mynet.decorated)) == expected


def test_classes_instances_and_methods_have_a_place(mynet: ModuleType) -> None:
    assert place_of(mynet.Part) == f"mynet_of_places.py:{line_of('class Part:')}"
    method = line_of("    def method(self):")
    assert place_of(mynet.Part().method) == f"mynet_of_places.py:{method}"
    assert place_of(mynet.Part()) == f"mynet_of_places.py:{line_of('    def __call__(self):')}"


@pytest.mark.parametrize("part", [described, GreenbenchError, Path, functools.reduce, len, str])
def test_what_is_not_the_users_has_no_place(part: Callable[..., Any]) -> None:
    assert place_of(part) is None
    assert at(part) == ""


def test_library_is_none_of_the_users_code(import_from: Import) -> None:
    library = import_from("lib/python3/site-packages")
    assert place_of(library.fails) is None
    assert text_of(library.fails) == "AttributeError: no attribute 'fc2'"


def test_installed_plugin_is_the_users_code(import_from: Import, tmp_path: Path) -> None:
    library = import_from("lib/python3/site-packages")
    info = tmp_path / "lib/python3/site-packages/mynet-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mynet\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[greenbench.plugins]\nmynet = mynet_of_places\n")
    assert text_of(library.fails).endswith("(mynet_of_places.py:10)")


def test_call_is_placed_where_the_user_calls(mynet: ModuleType) -> None:
    assert place_of_call() != mynet.calls(place_of_call)
    assert mynet.calls(place_of_call).endswith(f":{line_of('    return function()')}")


def test_what_a_part_raises_becomes_one_line(mynet: ModuleType) -> None:
    with (
        pytest.raises(DatasetError, match=r"^dataset 'x' failed: AttributeError: .*\(\S+py:10\)$"),
        calling("dataset 'x'", mynet.fails, DatasetError),
    ):
        mynet.fails()


def test_error_of_a_library_that_a_part_does_not_call_itself_names_the_part(
    mynet: ModuleType,
) -> None:
    def bare() -> Any:
        with calling("architecture 'x'", mynet.decorated, ArchitectureError):
            return _raise_as_a_library_does()

    # The frames of this test are a user's, too; a real caller's are greenbench's.
    with pytest.raises(ArchitectureError, match=r"RuntimeError: shapes differ \(\S+:\d+\)$"):
        bare()


def _raise_as_a_library_does() -> None:
    raise RuntimeError("shapes differ")


def test_our_own_error_keeps_its_class_and_gets_the_place(mynet: ModuleType) -> None:
    with (
        pytest.raises(ArchitectureError, match=r"^mine: Linear needs .*\(\S+py:18\)$"),
        calling("dataset 'x'", mynet.fails, DatasetError),
        calling("dataset 'x'", mynet.fails, DatasetError),
    ):
        mynet.fails_inside_greenbench()


def test_errors_that_pass_are_left_alone(mynet: ModuleType) -> None:
    with (
        pytest.raises(AttributeError, match=r"^no attribute 'fc2'$"),
        calling("dataset 'x'", mynet.fails, DatasetError, passing=(AttributeError,)),
    ):
        mynet.fails()


def test_syntax_error_names_its_own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_of_places.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    text = text_of(lambda: importlib.import_module("broken_of_places"))
    assert text.endswith("(broken_of_places.py, line 1)")


MISTAKE = """
with calling("dataset 'x'", part, DatasetError):
    raise RuntimeError("shapes differ")
"""


@pytest.mark.parametrize(("part", "kind"), [(described, RuntimeError), (len, DatasetError)])
def test_mistakes_of_greenbench_are_not_blamed_on_a_part(
    part: Callable[..., Any], kind: type[Exception]
) -> None:
    # Run from no file: none of its frames is a user's.
    names = {"calling": calling, "part": part, "DatasetError": DatasetError}
    with pytest.raises(kind, match=r"shapes differ$"):
        exec(compile(MISTAKE, "<greenbench>", "exec"), names)


def test_part_that_exits_is_one_that_failed() -> None:
    def leave() -> None:
        raise SystemExit("no GPU")

    with (
        pytest.raises(ArchitectureError, match=r"failed: SystemExit: no GPU \(\S*test_places.py:"),
        calling("architecture 'mine'", leave, ArchitectureError),
    ):
        leave()


def test_what_a_part_prints_is_none_of_what_a_command_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with calling("dataset 'loud'", print, DatasetError):
        print("loading …")
    assert capsys.readouterr() == ("", "loading …\n")
