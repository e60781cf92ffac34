"""Check that each package that setup.cfg names is here in the lowest release that it allows."""

from importlib.metadata import requires, version

from packaging.requirements import Requirement
from packaging.version import Version


def bounds() -> dict[str, str]:
    """Return the lower bounds of greenbench and of its extra ``dev``, by package."""
    found = {}
    for line in requires("greenbench") or ():
        requirement = Requirement(line)
        is_ours = requirement.marker is None or requirement.marker.evaluate({"extra": "dev"})
        for each in requirement.specifier if is_ours else ():
            if each.operator == ">=":
                found[requirement.name] = each.version
    return found


if __name__ == "__main__":
    lowest = bounds()
    higher = [
        f"{name} {version(name)}, not {bound}"
        for name, bound in lowest.items()
        if Version(version(name)) != Version(bound)
    ]
    if higher:
        raise SystemExit(f"setup.cfg promises what no installation has: {'; '.join(higher)}")
    print(f"{len(lowest)} packages, each in its lowest release")
