from greenbench import register_architecture, register_suite
from greenbench.architectures import Flatten, Linear, ReLU, Spec, family
from greenbench.cases import matrix


@register_architecture("my_net")
@family(s={"width": 8}, m={"width": 64}, l={"width": 512})
def my_net(image_shape, classes, width=8):
    return Spec("my_net", image_shape, [Flatten(), Linear(width), ReLU(), Linear(classes)])


@register_suite("mine")
def mine():
    return matrix(networks=["my_net.s", "my_net.m", "my_net.l"])


def test_my_net(greenbench_case, greenbench_run):
    results = greenbench_run(greenbench_case)
    assert all(result.test_accuracy > 1 / 10 for result in results)  # better than guessing
