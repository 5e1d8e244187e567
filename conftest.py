"""What every test stands on: how hypothesis searches, and a home of its own."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

CI = os.environ.get("CI") == "true"
HOMES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")

# Loaded here and not as the entry point of users: coverage has begun by now.
pytest_plugins = ["flyball.testing.plugin"]

# A deadline would measure the machine; in CI the same change gets the same answer.
settings.register_profile("flyball", deadline=None, derandomize=CI, print_blob=CI)
settings.load_profile("flyball")


# Thousands of runs through the same lines: what they reach is counted where it has tests of its own, and a tracer would
# make them twice as long.
UNCOUNTED = (
    "tests/simulation/", "tests/tamper/", "tests/histories/", "tests/faults/", "tests/gate/test_laws.py",
    "examples/proposal_desk/tests/test_desk_demo.py", "examples/proposal_desk/tests/test_desk_model.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(UNCOUNTED):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(autouse=True)
def _processes_uncounted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor are the processes that such a test starts traced."""
    if request.node.get_closest_marker("no_cover") is not None:
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test, and no process it starts, reads or writes the user's keys, settings or state."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n in HOMES or (n.startswith("FLYBALL_") and n != "FLYBALL_VECTORS")]:
            patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield
