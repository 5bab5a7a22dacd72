"""The rules of the look that a reader would otherwise have to remember."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

APPS = Path(__file__).parents[3] / "apps"
STATIC = APPS / "ui" / "static" / "ui"
TEMPLATES = sorted(APPS.glob("*/templates/**/*.html"))
STYLESHEETS = sorted(APPS.glob("*/static/**/*.css"))

COMMENT = re.compile(r"{% comment.*?endcomment %}|{#.*?#}", re.DOTALL)
CSS_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def name_of(path: Path) -> str:
    return str(path.relative_to(APPS))


def markup_of(template: Path) -> str:
    return COMMENT.sub("", template.read_text())


class TestStylesheet:
    @pytest.mark.parametrize("path", STYLESHEETS, ids=name_of)
    def test_takes_its_colours_from_tokens(self, path: Path) -> None:
        if path.name == "tokens.css":
            return

        rules = CSS_COMMENT.sub("", path.read_text())

        assert not re.search(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\(|\boklch\(", rules)

    @pytest.mark.parametrize("path", STYLESHEETS, ids=name_of)
    def test_uses_only_tokens_that_exist(self, path: Path) -> None:
        known = set(re.findall(r"(--[a-z0-9-]+):", (STATIC / "tokens.css").read_text()))

        used = set(re.findall(r"var\((--[a-z0-9-]+)", path.read_text()))

        assert used <= known

    def test_of_each_component_is_imported(self) -> None:
        written = {path.name for path in (STATIC / "components").glob("*.css")}

        imported = re.findall(
            r'url\("components/([a-z-]+\.css)"\)', (STATIC / "ui.css").read_text()
        )

        assert set(imported) == written
        assert imported == sorted(imported)


class TestTemplate:
    @pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
    def test_has_nothing_that_the_content_security_policy_refuses(self, path: Path) -> None:
        markup = markup_of(path)

        assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=", markup)
        assert not re.search(r"(src|href)=\"(https?:)?//", markup)

    @pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
    def test_includes_others_with_what_they_list_and_nothing_else(self, path: Path) -> None:
        includes = re.findall(r"{% include .*?%}", markup_of(path))

        assert [tag for tag in includes if not tag.endswith(" only %}")] == []

    @pytest.mark.parametrize(
        "path", [path for path in TEMPLATES if path.name.startswith("_")], ids=name_of
    )
    def test_of_a_component_begins_with_what_it_takes(self, path: Path) -> None:
        assert path.read_text().startswith('{% comment "text/markdown" %}')

    @pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
    def test_shows_icons_that_are_drawn(self, path: Path) -> None:
        drawn = set(re.findall(r'<symbol id="([a-z-]+)"', (STATIC / "icons.svg").read_text()))

        shown = set(re.findall(r'(?:_icon\.html" with name|icon)="([a-z-]+)"', markup_of(path)))

        assert shown <= drawn
