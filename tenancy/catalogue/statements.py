"""
Which statement makes an object, in whichever schema is first in search_path?
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from psycopg import sql

from tenancy.catalogue.queries import OWN_ROLE, OWN_SCHEMA, OWNER
from tenancy.catalogue.reading import Item

# What a name is for whoever runs the statement: <prefix>_ddl in a schema that comes first.
PLACEHOLDERS = {
    OWN_SCHEMA: "current_schema()",
    OWN_ROLE: "regexp_replace(current_user, 'ddl$', '') || current_schema()",
    OWNER: "current_user",
}

# At the end of a definition, what no statement says by itself.
MARK = " -- "


def quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)


def literal(text: str) -> str:
    return sql.Literal(text).as_string(None)


def creating(item: Item) -> list[str]:
    """
    Return the statements that make `item`, where what it is part of is there already.

    To be run by the owner. They name no schema: those that must name it, or its role, ask
    PostgreSQL for it. An empty list where no statement makes it.
    """
    make = _MAKERS.get(item.kind)
    statements = make(item) if make else []
    return [in_any_schema(statement) for statement in statements]


def in_any_schema(statement: str) -> str:
    """Return a statement that holds one of PLACEHOLDERS as one that finds out their names."""
    if not any(placeholder in statement for placeholder in PLACEHOLDERS):
        return statement
    form = statement.replace("%", "%%")
    for number, placeholder in enumerate(PLACEHOLDERS, start=1):
        form = form.replace(placeholder, f"%{number}$I")
    tag = "$do$"
    while tag in form:
        tag = f"{tag[:-1]}_$"
    arguments = ", ".join(PLACEHOLDERS.values())
    return f"DO {tag} BEGIN EXECUTE format({literal(form)}, {arguments}); END {tag}"


def alter_table(item: Item, change: str) -> str:
    return f"ALTER TABLE {quoted(item.relation)} {change}"


def column(item: Item, sequence: Item | None = None) -> str:
    """Return a column as CREATE TABLE has it, with the `sequence` of its identity."""
    definition = item.definition
    if sequence is not None:
        options = sequence.definition.partition(" IDENTITY OF ")[0].partition(" START ")[2]
        identity = f"AS IDENTITY (SEQUENCE NAME {quoted(sequence.name)} START {options})"
        definition = definition.replace("AS IDENTITY", identity, 1)
    return f"{quoted(item.name)} {definition}"


def constraint(item: Item) -> str:
    """Return a constraint as CREATE TABLE has it."""
    return f"CONSTRAINT {quoted(item.name)} {item.definition}"


def _setting(item: Item) -> list[str]:
    return [alter_table(item, item.definition)]


def _column(item: Item) -> list[str]:
    return [alter_table(item, f"ADD COLUMN {column(item)}")]


def _column_setting(item: Item) -> list[str]:
    name, _, _ = item.name.rpartition(" ")
    return [alter_table(item, f"ALTER COLUMN {quoted(name)} {item.definition}")]


def _constraint(item: Item) -> list[str]:
    return [alter_table(item, f"ADD {constraint(item)}")]


def _sequence(item: Item) -> list[str]:
    if " IDENTITY OF " in item.definition:
        return []
    options, _, owner = item.definition.partition(" OWNED BY ")
    persistence = "UNLOGGED " if options.startswith("UNLOGGED ") else ""
    name = quoted(item.name)
    made = [f"CREATE {persistence}SEQUENCE {name} {options.removeprefix('UNLOGGED ')}"]
    return [*made, f"ALTER SEQUENCE {name} OWNED BY {owner}"] if owner else made


def _view(item: Item) -> list[str]:
    return [f"CREATE {item.kind.upper()} {quoted(item.relation)} {item.definition}"]


def _whole(item: Item) -> list[str]:
    """Return the definition where it is a statement that says everything."""
    return [] if MARK in item.definition else [item.definition]


def _statistics(item: Item) -> list[str]:
    definition, _, target = item.definition.partition(MARK)
    name = quoted(item.name)
    return [definition, f"ALTER STATISTICS {name} SET {target}"] if target else [definition]


def _trigger(item: Item) -> list[str]:
    definition, _, state = item.definition.partition(MARK)
    if not definition.startswith("CREATE "):
        return []
    return [definition, *([enabling(item, state)] if state else [])]


def enabling(item: Item, state: str) -> str:
    """Return what brings a trigger into `state`, ENABLED where that is ''."""
    word, _, mode = (state or "ENABLED").partition(" ")
    change = " ".join(filter(None, [word.removesuffix("D"), mode, "TRIGGER", quoted(item.name)]))
    return alter_table(item, change)


def _policy(item: Item) -> list[str]:
    on = f"{quoted(item.name)} ON {quoted(item.relation)}"
    return [f"CREATE POLICY {on} {item.definition}"]


def _function(item: Item) -> list[str]:
    return [f"CREATE {item.kind.upper()} {item.definition}"]


def _type(item: Item) -> list[str]:
    return [f"CREATE {item.kind.upper()} {quoted(item.name)} {item.definition}"]


def _of_schema(thing: str) -> str:
    return f"SCHEMA {OWN_SCHEMA}" if thing == "SCHEMA" else thing


def _comment(item: Item) -> list[str]:
    return [f"COMMENT ON {_of_schema(item.name)} IS {item.definition}"]


def _owner(item: Item) -> list[str]:
    return [f"ALTER {_of_schema(item.name)} OWNER TO {item.definition}"]


def _grant(item: Item) -> list[str]:
    thing, _, grantee = item.name.rpartition(" TO ")
    return [grant(thing, grantee, privilege) for privilege in item.definition.split(", ")]


def grant(thing: str, grantee: str, privilege: str) -> str:
    name, _, option = privilege.partition(" WITH ")
    return f"GRANT {_on(thing, name)} TO {grantee}" + (f" WITH {option}" if option else "")


def revoke(thing: str, grantee: str, privilege: str) -> str:
    return f"REVOKE {_on(thing, privilege.partition(' WITH ')[0])} FROM {grantee}"


def _on(thing: str, privilege: str) -> str:
    """Return `SELECT ON TABLE x`, or `SELECT (y) ON TABLE x`."""
    thing = thing.removeprefix("MATERIALIZED ").removeprefix("FOREIGN ")
    if thing.startswith("VIEW "):
        thing = "TABLE " + thing.removeprefix("VIEW ")
    if thing.startswith("TABLE ") and thing.endswith(")"):
        thing, _, columns = thing.partition(" (")
        privilege = f"{privilege} ({columns}"
    return f"{privilege} ON {_of_schema(thing)}"


def _default_grant(item: Item) -> list[str]:
    return [default_grant(item, privilege) for privilege in item.definition.split(", ")]


def default_grant(item: Item, privilege: str, *, verb: str = "GRANT") -> str:
    things, _, rest = item.name.partition(" OF ")
    owner, _, grantee = rest.rpartition(" TO ")
    name, _, option = privilege.partition(" WITH ")
    preposition = "TO" if verb == "GRANT" else "FROM"
    suffix = f" WITH {option}" if option and verb == "GRANT" else ""
    return (
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {OWN_SCHEMA} "
        f"{verb} {name} ON {things} {preposition} {grantee}{suffix}"
    )


_MAKERS: Mapping[str, Callable[[Item], list[str]]] = {
    "setting": _setting,
    "column": _column,
    "column setting": _column_setting,
    "constraint": _constraint,
    "index": _whole,
    "sequence": _sequence,
    "view": _view,
    "materialized view": _view,
    "rule": _whole,
    "trigger": _trigger,
    "policy": _policy,
    "statistics": _statistics,
    "function": _function,
    "procedure": _function,
    "type": _type,
    "domain": _type,
    "comment": _comment,
    "owner": _owner,
    "grant": _grant,
    "default grant": _default_grant,
}
