"""What any page names exists: files, commands, settings, metrics, alerts, objects, errors ..."""

from __future__ import annotations

import re

import pytest

from tests.contracts import pages
from tests.contracts.pages import PAGES, ROOT, RULES, Rule

# What each rule would say of a page that names what is not there.
WRONG = [
    (pages.links, "see [there](docs/nowhere.md)", "docs/nowhere.md"),
    (pages.links, "see [there](README.md#no-such)", "README.md#no-such"),
    (pages.files, "in `tenancy/nowhere.py`", "tenancy/nowhere.py"),
    (pages.files, "```sh\nless k8s/base/nothing.yaml\n```", "k8s/base/nothing.yaml"),
    (pages.settings, "set TENANCY_NO_SUCH to 3", "TENANCY_NO_SUCH"),
    (pages.check_ids, "check tenancy.E099 says so", "E099"),
    (pages.error_names, "it raises tenancy.errors.NotOurs", "NotOurs"),
    (pages.commands, "type `manage.py no_such`", "no_such"),
    (pages.commands, "```sh\nmanage.py shell --fast\n```", "shell --fast"),
    (pages.commands, "`list_tenants --upside-down` shows", "list_tenants --upside-down"),
    (pages.make_targets, "type `make sense`", "make sense"),
    (pages.make_targets, "type `make run NOSUCHTHING=1`", "NOSUCHTHING"),
    (pages.modules, "`python -m clinicx dance`", "python -m clinicx dance"),
    (pages.modules, "`python -m clinicx.local dance`", "python -m clinicx.local dance"),
    (pages.objects, "`kubectl logs deployment/nobody`", "deployment/nobody"),
    (pages.names, "`NO_SUCH_VARIABLE` is 3", "NO_SUCH_VARIABLE"),
    (pages.names, "`sum(rate(no_such_requests_total[5m]))`", "no_such_requests_total"),
    (pages.names, "the alert `NoSuchAlertFires`", "NoSuchAlertFires"),
    (pages.diagrams, "```mermaid\npicture\nA-->B\n```", "picture"),
    (pages.diagrams, "```mermaid\nsequenceDiagram\nparticipant A\nA->>B: hello\n```", "B"),
    (pages.diagrams, '```mermaid\nflowchart TB\na["A"] --> b["B"\n```', 'a["A"] --> b["B"'),
    (pages.diagrams, '```mermaid\nflowchart TB\na["A"]\na --> b\n```', "b"),
]  # fmt: skip


class TestPages:
    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
    def test_name_what_exists(self, rule: Rule) -> None:
        found = {page.relative_to(ROOT): rule(pages.text_of(page)) for page in PAGES}

        assert {str(page): faults for page, faults in found.items() if faults} == {}

    def test_link_what_exists(self) -> None:
        found = {page.relative_to(ROOT): pages.links(page.read_text(), page) for page in PAGES}

        assert {str(page): faults for page, faults in found.items() if faults} == {}


class TestSources:
    def test_refer_to_pages_that_exist(self) -> None:
        """
        A comment names a decision by its number alone.
        """
        named = {
            (path.relative_to(ROOT), page)
            for path in pages.list_sources()
            for page in re.findall(r"\bdocs/[\w/.-]*\w", path.read_text())
        }

        assert len(named) > 20
        assert [pair for pair in sorted(named) if not any(ROOT.glob(f"{pair[1]}*"))] == []


class TestRules:
    @pytest.mark.parametrize(("rule", "text", "fault"), WRONG)
    def test_find_what_does_not(self, rule: Rule, text: str, fault: str) -> None:
        assert rule(text) == [fault]

    def test_each_has_an_example(self) -> None:
        assert {rule for rule, _, _ in WRONG} == {pages.links, *RULES}

    def test_excuse_only_what_a_page_names(self) -> None:
        said = " ".join(pages.text_of(page) for page in PAGES)

        assert [name for name in pages.ELSEWHERE if name not in said] == []
