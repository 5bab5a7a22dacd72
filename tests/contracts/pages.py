"""
What do the pages say is there? Each rule lists what one text names and the repository lacks.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import yaml
from django.conf import global_settings
from django.core.management import get_commands, load_command_class

from clinicx import __main__ as pod
from clinicx.local import __main__ as local
from tenancy import checks, errors
from tenancy.conf import Settings

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

# Where a name may be from; what is only in a page, or here, is nowhere.
SOURCES = ("tenancy", "clinicx", "apps", "tests", "k8s")
FILES = ("Makefile", "Dockerfile", "compose.yaml", "pyproject.toml", "manage.py")
READ = {".py", ".yaml", ".yml", ".json", ".toml", ".html", ".css", ".js", ".lua", ".ini", ".sql"}

# Names of others, or of what is told of as another's or as gone.
ELSEWHERE = {
    "GenericForeignKey": "Django's",
    "get_list_filter": "Django's",
    "histogram_quantile": "Prometheus's",
    "TenantFileSystemStorage": "django-tenants'",
    "disable_pqexec": "a driver's that this one is compared with",
    "pg_dumpall": "PostgreSQL's",
    "query_atomic_1": "made of two words in tests/benchmarks",
    "query_atomic_5": "made of two words in tests/benchmarks",
    "query_autocommit": "made of two words in tests/benchmarks",
    "cl_waiting": "PgBouncer's",
    "sv_active": "PgBouncer's",
    "sv_idle": "PgBouncer's",
    "xact_start": "PostgreSQL's",
    "visibility_timeout": "Celery's",
    # What the first plan, in Java, called it.
    "MultiTenantConnectionProvider": "Hibernate's",
    "TenantContext": "the first plan's",
    "TenantInterceptor": "the first plan's",
    "maximum_pool_size": "the first plan's",
    "pod_count": "the first plan's",
    "tenant_clinic1": "the first plan's",
}

SHORT_KINDS = {
    "cm": "configmap", "deploy": "deployment", "hpa": "horizontalpodautoscaler",
    "pdb": "poddisruptionbudget", "sts": "statefulset", "svc": "service",
}  # fmt: skip

Rule = Callable[[str], list[str]]


def text_of(page: Path) -> str:
    """Return what the page says of now: of the changelog, what is not released."""
    text = page.read_text()
    return text.partition("\n## 0.1.0")[0] if page.name == "CHANGELOG.md" else text


# Parts of a page


def _fenced(text: str) -> list[tuple[str, str]]:
    """Return each block of code, with its language."""
    return re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def _prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def _spans(text: str) -> list[str]:
    """Return what stands between backticks."""
    return re.findall(r"`([^`\n]+)`", _prose(text))


def _typed(text: str) -> Iterator[str]:
    """Yield each line that somebody might type."""
    yield from _spans(text)
    for language, block in _fenced(text):
        if language == "sh":
            lines = re.sub(r"\\\n\s*", "", block).splitlines()
            yield from (line.partition(" # ")[0] for line in lines)


# Rules


def links(text: str, page: Path = ROOT / "README.md") -> list[str]:
    """What a link leads to: the file, and the heading in it."""
    return [
        target
        for target in re.findall(r"\]\(([^)\s]+)\)", _prose(text))
        if not target.startswith(("http://", "https://")) and not _leads(target, page)
    ]


def _leads(target: str, page: Path) -> bool:
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not anchor:
        return file.exists()
    return file.is_file() and anchor in _anchors(file)


@cache
def _anchors(page: Path) -> set[str]:
    """Return the headings as addresses, as GitHub makes them."""
    found: dict[str, int] = {}
    anchors = set()
    for heading in re.findall(r"^#+ (.+)$", _prose(page.read_text()), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = found[anchor] = found.get(anchor, -1) + 1
        anchors.add(f"{anchor}-{number}" if number else anchor)
    return anchors


def files(text: str) -> list[str]:
    """Paths of the repository, in code and between backticks; `*` may stand for something."""
    folders = "|".join((*SOURCES, "docs"))
    named = re.findall(rf"(?<![\w/.-])(?:{folders})/[\w/.*-]*[\w/*]", "\n".join(_typed(text)))
    return [path for path in named if not any(ROOT.glob(path.rstrip("/")))]


def settings(text: str) -> list[str]:
    named = set(re.findall(r"\bTENANCY_([A-Z_]+[A-Z])\b", text))
    return [f"TENANCY_{name}" for name in named if not hasattr(Settings, name)]


def check_ids(text: str) -> list[str]:
    known = "".join(file.read_text() for file in Path(checks.__file__).parent.glob("*.py"))
    # What one was before, a page may say.
    named = set(re.findall(r"(?<!was )(?<!was tenancy\.)\b([EW]0\d\d)\b", text))
    return [name for name in named if f"tenancy.{name}" not in known]


def error_names(text: str) -> list[str]:
    named = set(re.findall(r"\b(?:tenancy\.)?errors\.([A-Z]\w+)", text))
    return [name for name in named if name not in vars(errors)]


def commands(text: str) -> list[str]:
    """Commands of manage.py, with the options they are given."""
    faults = []
    for line in _typed(text):
        found = re.findall(r"manage\.py ([a-z][^`|;&]*)", line)
        faults += [typed for typed in found if typed.split()[0] not in get_commands()]
        for typed in found if "manage.py" in line else [line]:
            name, *words = re.sub(r"[][]", "", typed).split() or [""]
            if name not in get_commands():
                continue
            options = {each for inner in (name, *words) for each in _options(inner)}
            given = {word.partition("=")[0] for word in words if word.startswith("--")}
            faults += [f"{name} {option}" for option in given - options]
    return faults


@cache
def _options(command: str) -> frozenset[str]:
    if command not in get_commands():
        return frozenset()
    parser = load_command_class(get_commands()[command], command).create_parser("", command)
    return frozenset(text for action in parser._actions for text in action.option_strings)


def make_targets(text: str) -> list[str]:
    """Targets of make, and the variables that are given to them."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    faults = []
    for line in _typed(text):
        for target, rest in re.findall(r"(?:^|[ '])make ([a-z][a-z0-9-]*)([^'#]*)", line):
            faults += [f"make {target}"] if target not in targets else []
            faults += [name for name in re.findall(r"\b([A-Z]+)=", rest) if name not in _names()]
    return faults


def modules(text: str) -> list[str]:
    """What is started with `python -m`, and the word after it."""
    known = {"clinicx": {*pod.WORDS, "--help"}, "clinicx.local": _verbs(local._parser())}
    faults = []
    for line in _typed(text):
        for module, word in re.findall(r"python -m ((?:clinicx|tests)[\w.]*)(?: ([a-z-]+))?", line):
            path = ROOT / module.replace(".", "/") / "__main__.py"
            if not path.exists() or (word and word not in known.get(module, {word})):
                faults.append(f"python -m {module} {word}")
    return faults


def _verbs(parser: argparse.ArgumentParser) -> set[str]:
    return {
        verb
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for verb in action.choices
    }


def objects(text: str) -> list[str]:
    """Objects of Kubernetes: `kind/name`, and what kubectl is told."""
    known = _objects()
    kinds = {kind for kind, _ in known} | set(SHORT_KINDS)
    named = re.findall(
        rf"(?<![\w-])({'|'.join(sorted(kinds))})/([a-z0-9-]+)", "\n".join(_typed(text))
    )
    return [
        f"{kind}/{name}" for kind, name in named if (SHORT_KINDS.get(kind, kind), name) not in known
    ]


@cache
def _objects() -> set[tuple[str, str]]:
    return {
        (document["kind"].lower(), document["metadata"]["name"])
        for path in sorted((ROOT / "k8s").rglob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document and "metadata" in document
    }


def names(text: str) -> list[str]:
    """Whatever stands between backticks and looks like a name: SOME_SETTING, a_metric, AnAlert."""
    parts = r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|(?:[A-Z][a-z]+){2,}|[a-z]+(?:_[a-z0-9]+)+"
    words = {word for span in _spans(text) for word in re.findall(r"[A-Za-z_]\w*", span)}
    unknown = {word for word in words if re.fullmatch(parts, word)} - _names() - set(ELSEWHERE)
    return [word for word in unknown if not _is_invented(word) and not _is_of_histogram(word)]


def _is_of_histogram(word: str) -> bool:
    return bool(ending := re.search(r"_(?:bucket|count|sum)$", word)) and (
        word[: ending.start()] in _names()
    )


def _is_invented(word: str) -> bool:
    """Whether it is a clinic's schema or role, for whose slug a page invents a name."""
    return bool(re.fullmatch(r"(?:\w+_)?tenant_(?:elm|oak)\w*", word))


@cache
def _names() -> set[str]:
    """Return every word of the sources, and those of Django's own settings."""
    found = set(vars(global_settings)) | {f"TENANCY_{name}" for name in vars(Settings)}
    found |= {path.stem for path in Path(__file__).parent.glob("*.py")}
    for path in list_sources():
        found.add(path.stem)
        found.update(re.findall(r"[A-Za-z_]\w*", path.read_text()))
    return found


def list_sources() -> Iterator[Path]:
    """Yield every file that is no page, but for these tests, in which names are made up."""
    yield from (ROOT / name for name in FILES if (ROOT / name).exists())
    for path in (path for folder in SOURCES for path in (ROOT / folder).rglob("*")):
        if path.suffix in READ and path.parent != Path(__file__).parent:
            yield path


def diagrams(text: str) -> list[str]:
    """Mermaid: a kind that there is, brackets that close, and nobody who was not introduced."""
    faults = []
    for language, block in _fenced(text):
        if language != "mermaid":
            continue
        first, *lines = [line.strip() for line in block.strip().splitlines()]
        if not re.fullmatch(r"sequenceDiagram|stateDiagram-v2|flowchart (?:TB|TD|LR)", first):
            faults.append(first)
        faults += [line for line in lines if not _is_closed(line)]
        if first == "sequenceDiagram":
            faults += _strangers(lines)
        elif first.startswith("flowchart"):
            faults += _unlabelled(lines)
    return faults


def _is_closed(line: str) -> bool:
    return all(line.count(left) == line.count(right) for left, right in ("[]", "()", "{}"))


def _strangers(lines: Sequence[str]) -> list[str]:
    introduced = set(re.findall(r"^(?:participant|actor) (\w+)", "\n".join(lines), re.MULTILINE))
    spoken = re.findall(r"^(\w+) ?--?>>[+-]?(\w+):", "\n".join(lines), re.MULTILINE)
    return [name for pair in spoken for name in pair if name not in introduced]


def _unlabelled(lines: Sequence[str]) -> list[str]:
    """Return the nodes at an arrow's end that nowhere say what they are."""
    text = "\n".join(re.sub(r"\|[^|]*\|", "", line) for line in lines)
    labelled = set(re.findall(r"\b(\w+)(?:\[|\(|\{)", text))
    labelled |= set(re.findall(r"^subgraph (\w+)", text, re.MULTILINE))
    plain = re.sub(r"[\[({]+\"[^\"]*\"[\])}]+", "", text)
    ends = re.findall(r"^([\w& ]+?) *(?:-->|-\.->|---|==>) *([\w& ]+)$", plain, re.MULTILINE)
    used = {name for end in ends for side in end for name in re.findall(r"\w+", side)}
    return sorted(used - labelled)


RULES: Sequence[Rule] = (
    files, settings, check_ids, error_names, commands, make_targets, modules, objects, names,
    diagrams,
)  # fmt: skip
