"""
What brings an object back to what it should be, and what would be lost by that?

Nothing here drops what holds data, or what somebody may have made on purpose: that is a
statement for a person to type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tenancy.catalogue import Item, statements
from tenancy.catalogue.statements import alter_table, quoted

EXTRA = "Nothing that the migrations make: somebody may want it."
OF_ANOTHER = "Only its owner, or a superuser, can give it away."
UNCHECKED = "It is disabled, so rows may break the constraint. A superuser can enable it."
LOSES = "What the table holds may not fit."
UNKNOWN = "No statement is known that changes it."

# Dropped and made anew without a loss: they hold no data of their own.
REPLACEABLE = {
    "constraint": "ALTER TABLE {relation} DROP CONSTRAINT {name}",
    "index": "DROP INDEX {name}",
    "view": "DROP VIEW {relation}",
    "materialized view": "DROP MATERIALIZED VIEW {relation}",
    "rule": "DROP RULE {name} ON {relation}",
    "trigger": "DROP TRIGGER {name} ON {relation}",
    "policy": "DROP POLICY {name} ON {relation}",
    "statistics": "DROP STATISTICS {name}",
}
DROPS = {
    **REPLACEABLE,
    "table": "DROP TABLE {relation}",
    "column": "ALTER TABLE {relation} DROP COLUMN {name}",
    "sequence": "DROP SEQUENCE {name}",
    "type": "DROP TYPE {name}",
    "domain": "DROP DOMAIN {name}",
}
SETTINGS = {
    "row level security": "DISABLE ROW LEVEL SECURITY",
    "row level security for the owner": "NO FORCE ROW LEVEL SECURITY",
    "replica identity": "REPLICA IDENTITY DEFAULT",
    "cluster": "SET WITHOUT CLUSTER",
}
COLUMN_SETTINGS = {"statistics": "SET STATISTICS -1", "compression": "SET COMPRESSION DEFAULT"}

# Whatever fits into the first fits into the others.
WIDER = {
    "smallint": ("integer", "bigint", "numeric"),
    "integer": ("bigint", "numeric"),
    "bigint": ("numeric",),
    "character varying": ("text",),
    "text": ("character varying",),
}
VARCHAR = re.compile(r"character varying\((\d+)\)")


@dataclass(frozen=True)
class Remedy:
    """Statements, and why a person should type them, '' where `--repair` may run them."""

    statements: tuple[str, ...]
    why: str = ""


def for_changed(found: Item, wanted: Item, making: tuple[str, ...]) -> Remedy:
    """Return what makes `found` into `wanted`, which `making` would make."""
    remedy = _CHANGED.get(wanted.kind)
    if remedy:
        return _in_any_schema(remedy(found, wanted, making))
    if drop := REPLACEABLE.get(wanted.kind):
        if not making:
            return Remedy((), UNKNOWN)
        return Remedy((_named(drop, found), *making))
    return Remedy((), UNKNOWN)


def for_extra(found: Item, *, owner: str) -> Remedy:
    """Return the statements that a person may type to be rid of `found`."""
    return _in_any_schema(Remedy(tuple(_dropping(found, owner)), _why_extra(found)))


def _why_extra(found: Item) -> str:
    if found.kind == "owner":
        return OF_ANOTHER
    if found.kind == "trigger" and not found.definition.startswith("CREATE "):
        return UNCHECKED
    return EXTRA


def _dropping(found: Item, owner: str) -> list[str]:
    match found.kind:
        case "function" | "procedure":
            return [f"DROP {found.kind.upper()} {found.name}"]
        case "setting":
            return [alter_table(found, SETTINGS[found.name])]
        case "column setting":
            return _resetting(found)
        case "comment":
            return [f"COMMENT ON {found.name} IS NULL"] if found.name != "SCHEMA" else []
        case "owner":
            return [f"ALTER {found.name} OWNER TO {quoted(owner)}"] * (found.name != "SCHEMA")
        case "grant":
            return [_revoke(found, each) for each in found.definition.split(", ")]
        case "default grant":
            return [
                statements.default_grant(found, each, verb="REVOKE")
                for each in found.definition.split(", ")
            ]
        case "trigger" if not found.definition.startswith("CREATE "):
            return [alter_table(found, "ENABLE TRIGGER ALL")]
        case "sequence" if " IDENTITY OF " in found.definition:
            return []
        case _:
            form = DROPS.get(found.kind)
            return [_named(form, found)] if form else []


def _named(form: str, item: Item) -> str:
    return form.format(relation=quoted(item.relation), name=quoted(item.name))


def _resetting(found: Item) -> list[str]:
    name, _, word = found.name.rpartition(" ")
    if word == "options":
        options = re.findall(r"(\w+)=", found.definition)
        return [alter_table(found, f"ALTER COLUMN {quoted(name)} RESET ({', '.join(options)})")]
    reset = COLUMN_SETTINGS.get(word)
    return [alter_table(found, f"ALTER COLUMN {quoted(name)} {reset}")] if reset else []


def _in_any_schema(remedy: Remedy) -> Remedy:
    made = (statements.in_any_schema(each) for each in remedy.statements)
    return Remedy(tuple(made), remedy.why)


# What was changed, by kind


def _constraint(found: Item, wanted: Item, making: tuple[str, ...]) -> Remedy:
    if found.definition == f"{wanted.definition} NOT VALID":
        return Remedy((alter_table(wanted, f"VALIDATE CONSTRAINT {quoted(wanted.name)}"),))
    return Remedy((_named(REPLACEABLE["constraint"], found), *making))


def _trigger(found: Item, wanted: Item, making: tuple[str, ...]) -> Remedy:
    definition, _, state = wanted.definition.partition(statements.MARK)
    if definition == found.definition.partition(statements.MARK)[0]:
        return Remedy((statements.enabling(wanted, state),))
    return Remedy((_named(REPLACEABLE["trigger"], found), *making))


def _function(found: Item, wanted: Item, making: tuple[str, ...]) -> Remedy:
    replacing = (each.replace("CREATE ", "CREATE OR REPLACE ", 1) for each in making)
    return Remedy(tuple(replacing))


def _sequence(found: Item, wanted: Item, making: tuple[str, ...]) -> Remedy:
    options, _, owner = wanted.definition.partition(" OWNED BY ")
    options = options.partition(" IDENTITY OF ")[0].replace("UNLOGGED ", "")
    owned = f" OWNED BY {owner or 'NONE'}" if "IDENTITY OF" not in wanted.definition else ""
    cycle = "" if options.endswith("CYCLE") else " NO CYCLE"
    return Remedy((f"ALTER SEQUENCE {quoted(wanted.name)} {options}{cycle}{owned}",))


def _again(found: Item, wanted: Item, making: tuple[str, ...]) -> Remedy:
    """Of what is said of an object, and is said anew."""
    return Remedy(making)


def _grant(found: Item, wanted: Item, making: tuple[str, ...]) -> Remedy:
    is_, should = set(found.definition.split(", ")), set(wanted.definition.split(", "))
    thing, _, grantee = wanted.name.rpartition(" TO ")
    changes = [_revoke(found, each) for each in sorted(is_ - should)]
    changes += [statements.grant(thing, grantee, each) for each in sorted(should - is_)]
    return Remedy(tuple(changes))


def _revoke(item: Item, privilege: str) -> str:
    thing, _, grantee = item.name.rpartition(" TO ")
    return statements.revoke(thing, grantee, privilege)


def _default_grant(found: Item, wanted: Item, making: tuple[str, ...]) -> Remedy:
    is_, should = set(found.definition.split(", ")), set(wanted.definition.split(", "))
    changes = [
        statements.default_grant(found, each, verb="REVOKE") for each in sorted(is_ - should)
    ]
    changes += [statements.default_grant(wanted, each) for each in sorted(should - is_)]
    return Remedy(tuple(changes))


def _table(found: Item, wanted: Item, making: tuple[str, ...]) -> Remedy:
    """Of a table's own properties, those that ALTER TABLE takes by themselves."""
    if found.definition == f"UNLOGGED {wanted.definition}":
        return Remedy((alter_table(wanted, "SET LOGGED"),))
    if wanted.definition == f"UNLOGGED {found.definition}":
        return Remedy((alter_table(wanted, "SET UNLOGGED"),))
    options = re.compile(r" WITH \((.*?)\)")
    if options.sub("", found.definition) != options.sub("", wanted.definition):
        return Remedy((), UNKNOWN)
    is_, should = (options.search(each.definition) for each in (found, wanted))
    changes = []
    if is_:
        names = ", ".join(re.findall(r"(\w+)=", is_[1]))
        changes.append(alter_table(wanted, f"RESET ({names})"))
    if should:
        changes.append(alter_table(wanted, f"SET ({should[1]})"))
    return Remedy(tuple(changes))


@dataclass(frozen=True)
class _Column:
    """The parts of a column's definition."""

    type: str
    identity: str
    default: str
    generated: str
    is_required: bool

    @classmethod
    def of(cls, item: Item) -> _Column:
        text = item.definition
        is_required = text.endswith(" NOT NULL")
        text = text.removesuffix(" NOT NULL")
        parts = re.fullmatch(
            r"(?P<type>.*?)"
            r"(?: GENERATED (?P<identity>ALWAYS|BY DEFAULT) AS IDENTITY)?"
            r"(?: DEFAULT (?P<default>.*)| GENERATED ALWAYS AS (?P<generated>\(.*))?",
            text,
            re.DOTALL,
        )
        assert parts  # noqa: S101  # each part may be missing
        return cls(**parts.groupdict(default=""), is_required=is_required)


def _column(found: Item, wanted: Item, making: tuple[str, ...]) -> Remedy:
    is_, should = _Column.of(found), _Column.of(wanted)
    if is_.generated != should.generated or is_.identity != should.identity:
        return Remedy(tuple(_reidentifying(wanted, is_, should)), LOSES)
    changes = []
    if is_.type != should.type:
        using = f"TYPE {should.type} USING {quoted(wanted.name)}::{_bare(should.type)}"
        changes.append(using if not _is_wider(is_.type, should.type) else f"TYPE {should.type}")
    if is_.default != should.default:
        changes.append(f"SET DEFAULT {should.default}" if should.default else "DROP DEFAULT")
    if is_.is_required != should.is_required:
        changes.append("SET NOT NULL" if should.is_required else "DROP NOT NULL")
    column = f"ALTER COLUMN {quoted(wanted.name)}"
    made = tuple(alter_table(wanted, f"{column} {change}") for change in changes)
    is_safe = is_.type == should.type or _is_wider(is_.type, should.type)
    return Remedy(made, "" if is_safe else LOSES)


def _reidentifying(wanted: Item, is_: _Column, should: _Column) -> list[str]:
    column = f"ALTER COLUMN {quoted(wanted.name)}"
    if is_.generated != should.generated or is_.default or should.default:
        return []
    if not should.identity:
        return [alter_table(wanted, f"{column} DROP IDENTITY")]
    if is_.identity:
        return [alter_table(wanted, f"{column} SET GENERATED {should.identity}")]
    return [alter_table(wanted, f"{column} ADD GENERATED {should.identity} AS IDENTITY")]


def _bare(type: str) -> str:
    return type.partition(" COLLATE ")[0]


def _is_wider(is_: str, should: str) -> bool:
    """Tell whether every value of the type `is_` is one of the type `should`."""
    one, other = VARCHAR.fullmatch(is_), VARCHAR.fullmatch(should)
    if one and other:
        return int(one[1]) <= int(other[1])
    if one:
        return should in ("text", "character varying")
    return should in WIDER.get(is_, ())


_CHANGED: Mapping[str, Callable[[Item, Item, tuple[str, ...]], Remedy]] = {
    "table": _table,
    "column": _column,
    "constraint": _constraint,
    "trigger": _trigger,
    "function": _function,
    "procedure": _function,
    "sequence": _sequence,
    "setting": _again,
    "column setting": _again,
    "comment": _again,
    "grant": _grant,
    "default grant": _default_grant,
}
