"""What passes with django-tenants' backend passes with ours."""

from __future__ import annotations

import pytest

from tests.adoption import theirs
from tests.adoption.theirs import Outcomes

# They count statements, `SET search_path` among them, and ours sends none.
COUNTING = {
    f"django_tenants.tests.test_tenants.TenantDataAndSettingsTest.{name}"
    for name in ("test_switching_search_path", "test_switching_search_path_limited_calls")
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcomes]:
    folder = tmp_path_factory.mktemp("theirs")
    theirs.fetch_project(folder)
    return {backend: theirs.run(folder / "project", backend) for backend in theirs.SETTINGS}


@pytest.mark.slow
class TestTheirSuite:
    def test_passes_as_with_their_backend(
        self, outcomes: dict[str, Outcomes], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with capsys.disabled():
            print(f"\n{theirs.table(outcomes)}")  # noqa: T201  # for whoever waits for it

        passed = {
            backend: {test for test, outcome in found.items() if outcome == "passed"}
            for backend, found in outcomes.items()
        }
        assert passed["stock"] - passed["ours"] == COUNTING

    def test_is_the_same_tests(self, outcomes: dict[str, Outcomes]) -> None:
        assert outcomes["ours"].keys() == outcomes["stock"].keys()
        assert len(outcomes["stock"]) >= 154
