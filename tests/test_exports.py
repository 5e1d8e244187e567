"""The public surface is this list: a name comes or goes only together with a line here."""

import subprocess
import sys
from types import ModuleType

import pytest

import flyball
import flyball.testing

NAMES = """
Agent Artifact Blocked Call Completed Config Critical Entity Event Executed Failed Flow Flyball FlyballError Key Limits
Memory NotDone Outgoing Passage Pending Personal Principal Prompt Recall Ref Remembered Resource Result Retry Run
RunHandle Secret Skipped Source Step Stopped Tenant Tool Trusted Waiting __version__ agent entity flow history prompt
resource run source tool
"""
TESTING = "Crash Lab Say Verdict no_models policy_cases propose"
SURFACES = [(flyball, NAMES.split()), (flyball.testing, TESTING.split())]


@pytest.mark.promise("api-exports")
@pytest.mark.parametrize(("package", "names"), SURFACES)
def test_what_is_exported_is_this_list(package: ModuleType, names: list[str]) -> None:
    assert sorted(package.__all__) == sorted(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("package", "name"), [(package, name) for package, names in SURFACES for name in names])
def test_every_name_resolves_and_stays_the_same_object(package: ModuleType, name: str) -> None:
    assert getattr(package, name) is getattr(package, name) is not None


@pytest.mark.parametrize("package", [flyball, flyball.testing])
def test_a_name_that_is_not_exported_is_not_there(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match="Gate"):
        _ = package.Gate


@pytest.mark.parametrize("package", ["flyball", "flyball.testing"])
def test_everything_can_be_imported_at_once(package: str) -> None:
    found: dict[str, object] = {}
    exec(f"from {package} import *", found)
    assert set(sys.modules[package].__all__) <= set(found)


@pytest.mark.promise("api-import-is-inert")
def test_importing_the_package_imports_no_library_and_no_part_of_it() -> None:
    show = "import flyball, sys; print(*sorted(m for m in sys.modules if m.startswith('flyball.') or m in HEAVY))"
    heavy = "HEAVY = {'aiohttp', 'cedarpy', 'click', 'cryptography', 'msgspec', 'orjson', 'pytest', 'rich'}"
    said = subprocess.run([sys.executable, "-c", f"{heavy}; {show}"], capture_output=True, text=True, check=True)
    assert said.stdout.split() == []


def test_the_facade_defines_nothing_of_its_own() -> None:
    homes = {getattr(getattr(flyball, name), "__module__", "") for name in flyball.__all__}
    assert "flyball" not in homes
