"""What was loaded or built for one tenant refuses to be used for another."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connections
from django.db.models import Count, Model, Prefetch, QuerySet, Subquery
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.scheduling.models import Practitioner, PractitionerIdentifier
from tenancy import context, ownership
from tenancy.context import PLATFORM, ActiveTenant
from tenancy.errors import CrossTenantAccess, NoActiveTenant
from tenancy.models import Organization

REFUSAL = "belongs to elm, and oak is active"


@pytest.fixture
def elms(in_elm: Organization, oak: Organization) -> Iterator[Practitioner]:
    """A practitioner of Elm's, with an identifier; Oak is active, and has one with the same key."""
    practitioner = Practitioner.objects.create(family="Elm")
    PractitionerIdentifier.objects.create(practitioner=practitioner, system="urn:x", value="1")
    loaded = Practitioner.objects.get(pk=practitioner.pk)
    with context.override(oak.as_active(), in_transaction=True):
        Practitioner.objects.create(pk=loaded.pk, family="Oak")
        yield loaded


def _unpickled(thing: Any) -> Any:
    """As it comes back out of a cache; of a queryset its query, as pickling evaluates it."""
    if isinstance(thing, QuerySet):
        queryset = thing.model._base_manager.all()
        queryset.query = _unpickled(thing.query)
        return queryset
    return pickle.loads(pickle.dumps(thing))  # noqa: S301  # our own


def sent_nothing(action: Callable[[], object]) -> None:
    """Assert that the action is refused, naming both tenants, before anything is sent."""
    with (
        CaptureQueriesContext(connections["default"]) as queries,
        pytest.raises(CrossTenantAccess, match=REFUSAL),
    ):
        action()
    assert queries.captured_queries == []


INSTANCE: dict[str, Callable[[Practitioner], object]] = {
    "save": lambda elms: elms.save(),
    "save-using": lambda elms: elms.save(using="default"),
    "save-as-new": lambda elms: elms.save(force_insert=True),
    "base-save": lambda elms: Model.save_base(elms, raw=True),
    "delete": lambda elms: elms.delete(),
    "delete-using": lambda elms: elms.delete(using="default"),
    "refresh": lambda elms: elms.refresh_from_db(),
    "refresh-using": lambda elms: elms.refresh_from_db(using="default"),
    "bulk_create": lambda elms: Practitioner.objects.bulk_create([elms]),
    "bulk_update": lambda elms: Practitioner.objects.bulk_update([elms], ["family"]),
    "related-manager": lambda elms: list(elms.identifiers.all()),
    "related-manager-using": lambda elms: list(elms.identifiers.using("default")),
    "related-manager-create": lambda elms: elms.identifiers.create(system="urn:x", value="2"),
    "related-manager-add": lambda elms: elms.identifiers.add(
        PractitionerIdentifier(system="urn:x", value="3"), bulk=False
    ),
    "filter": lambda elms: list(PractitionerIdentifier.objects.filter(practitioner=elms)),
    "assign": lambda elms: PractitionerIdentifier(practitioner=elms),
    "its-alias": lambda elms: list(Practitioner.objects.using(elms._state.db)),
    "pickled": lambda elms: _unpickled(elms).save(),
    "copied": lambda elms: copy.copy(elms).save(),
    "deeply-copied": lambda elms: copy.deepcopy(elms).delete(),
}


class TestInstance:
    @pytest.mark.parametrize("action", INSTANCE.values(), ids=INSTANCE)
    def test_is_refused_for_another_tenant(
        self, elms: Practitioner, action: Callable[[Practitioner], object]
    ) -> None:
        sent_nothing(lambda: action(elms))

    def test_is_still_as_it_was_after_a_refusal(
        self, elms: Practitioner, oak: Organization
    ) -> None:
        with pytest.raises(CrossTenantAccess):
            elms.save()

        assert Practitioner.objects.get(pk=elms.pk).family == "Oak"

    def test_deferred_field_is_not_read_from_another_tenant(
        self, elms: Practitioner, elm: Organization
    ) -> None:
        with context.override(elm.as_active(), in_transaction=True):
            deferred = Practitioner.objects.defer("family").get(pk=elms.pk)

        sent_nothing(lambda: deferred.family)

    def test_many_to_many_is_refused_from_both_ends(
        self, in_elm: Organization, oak: Organization
    ) -> None:
        user, group = User.objects.create(username="x"), Group.objects.create(name="x")
        with context.override(oak.as_active(), in_transaction=True):
            oaks = Group.objects.create(name="y")

            sent_nothing(lambda: user.groups.add(oaks))
            sent_nothing(lambda: oaks.user_set.add(user))
            sent_nothing(lambda: user.groups.clear())
            sent_nothing(lambda: group.permissions.set([]))

    def test_that_nobody_saved_yet_may_be_saved_anywhere(
        self, in_elm: Organization, oak: Organization
    ) -> None:
        new = Practitioner(family="New")
        with context.override(oak.as_active(), in_transaction=True):
            new.save()

            assert str(ownership.owner_of(new)) == "oak"

    def test_with_a_related_one_set_before_is_refused_when_saved(
        self, in_elm: Organization, oak: Organization
    ) -> None:
        identifier = PractitionerIdentifier(practitioner=Practitioner.objects.create(family="Elm"))
        with context.override(oak.as_active(), in_transaction=True):
            sent_nothing(identifier.save)

    def test_of_a_tenant_is_refused_on_the_platform_and_back(
        self, in_elm: Organization, on_platform: None
    ) -> None:
        with context.override(PLATFORM, in_transaction=True):
            operator = User.objects.create(username="sam")
        with context.override(in_elm.as_active(), in_transaction=True):
            member = User.objects.create(username="ada")

            with pytest.raises(CrossTenantAccess, match="belongs to the platform, and elm"):
                operator.save()
        with (
            context.override(PLATFORM, in_transaction=True),
            pytest.raises(CrossTenantAccess, match="belongs to elm, and the platform"),
        ):
            member.save()

    def test_two_of_different_tenants_cannot_be_related_by_nobody_either(
        self, in_elm: Organization, oak: Organization
    ) -> None:
        elms = Practitioner.objects.create(family="Elm")
        with context.override(oak.as_active(), in_transaction=True):
            oaks = PractitionerIdentifier.objects.create(
                practitioner=Practitioner.objects.create(family="Oak"), system="urn:x", value="1"
            )

        with context.override(None), pytest.raises(CrossTenantAccess, match=r"elm.*oak"):
            oaks.practitioner = elms

    def test_leaves_it_to_the_connection_when_nobody_is_active(self, in_elm: Organization) -> None:
        elms = Practitioner.objects.create(family="Elm")

        with context.override(None), pytest.raises(NoActiveTenant):
            elms.save()

    def test_is_known_under_another_description_of_its_tenant(self, in_elm: Organization) -> None:
        """
        django-tenants' `set_tenant` knows neither slug nor name.
        """
        elms = Practitioner.objects.create(family="Elm")

        with context.override(ActiveTenant(None, in_elm.schema_name), in_transaction=True):
            elms.save()

    def test_of_the_public_schema_has_no_owner(
        self, on_platform: None, elm: Organization, oak: Organization
    ) -> None:
        loaded = Organization.objects.get(pk=elm.pk)

        assert ownership.owner_of(loaded) is None
        assert ownership.owner_of(Organization.objects.all()) is None


@pytest.fixture
def querysets(elms: Practitioner, elm: Organization) -> dict[str, QuerySet[Any]]:
    """Querysets that were built for Elm, while Oak is active."""
    with context.override(elm.as_active(), in_transaction=True):
        return {
            "plain": Practitioner.objects.all(),
            "using": Practitioner.objects.using("default"),
            "narrowed": Practitioner.objects.filter(family="Elm"),
            "prefetching": Practitioner.objects.prefetch_related("identifiers"),
        }


EVALUATION: dict[str, Callable[[QuerySet[Any]], object]] = {
    "list": list,
    "len": len,
    "bool": bool,
    "first": lambda queryset: queryset.first(),
    "index": lambda queryset: queryset[0],
    "iterator": lambda queryset: list(queryset.iterator(chunk_size=2)),
    "count": lambda queryset: queryset.count(),
    "exists": lambda queryset: queryset.exists(),
    "get": lambda queryset: queryset.get(),
    "in_bulk": lambda queryset: queryset.in_bulk(),
    "values": lambda queryset: list(queryset.values_list("family")),
    "aggregate": lambda queryset: queryset.aggregate(number=Count("pk")),
    "narrowed-here": lambda queryset: list(queryset.filter(active=True)),
    "update": lambda queryset: queryset.update(family="Oak"),
    "delete": lambda queryset: queryset.delete(),
    "explain": lambda queryset: queryset.explain(),
    "subquery": lambda queryset: list(Practitioner.objects.filter(pk__in=queryset)),
    "annotation": lambda queryset: list(
        Practitioner.objects.annotate(x=Subquery(queryset.values("family")[:1]))
    ),
    "union": lambda queryset: list(Practitioner.objects.all().union(queryset)),
    "prefetch": lambda queryset: list(
        PractitionerIdentifier.objects.prefetch_related(Prefetch("practitioner", queryset))
    ),
    "pickled": lambda queryset: list(_unpickled(queryset)),
}


class TestQuerySet:
    @pytest.mark.parametrize("name", ["plain", "using", "narrowed", "prefetching"])
    @pytest.mark.parametrize("evaluate", EVALUATION.values(), ids=EVALUATION)
    def test_is_refused_for_another_tenant(
        self,
        querysets: dict[str, QuerySet[Any]],
        evaluate: Callable[[QuerySet[Any]], object],
        name: str,
        oak: Organization,
    ) -> None:
        if evaluate is EVALUATION["prefetch"]:
            PractitionerIdentifier.objects.create(
                practitioner=Practitioner.objects.get(), system="urn:x", value="1"
            )
            with pytest.raises(CrossTenantAccess, match=REFUSAL):
                evaluate(querysets[name])
        else:
            sent_nothing(lambda: evaluate(querysets[name]))

    @pytest.mark.parametrize("read", ["list", "len", "bool", "index", "count", "exists"])
    def test_whose_rows_are_in_memory_is_refused_too(
        self, querysets: dict[str, QuerySet[Any]], read: str, elm: Organization
    ) -> None:
        queryset = querysets["plain"]
        with context.override(elm.as_active(), in_transaction=True):
            list(queryset)

        sent_nothing(lambda: EVALUATION[read](queryset))

    def test_that_nobody_built_belongs_to_whoever_evaluates_it(
        self, elms: Practitioner, elm: Organization
    ) -> None:
        """
        A class attribute of a view, for example; its clones are anybody's.
        """
        with context.override(None):
            queryset = Practitioner.objects.all()

        assert [each.family for each in queryset.all()] == ["Oak"]
        with context.override(elm.as_active(), in_transaction=True):
            assert [each.family for each in queryset] == ["Elm"]
        sent_nothing(lambda: list(queryset))

    def test_of_raw_sql_is_refused(self, elms: Practitioner, elm: Organization) -> None:
        statement = f"SELECT * FROM {Practitioner._meta.db_table}"
        with context.override(elm.as_active(), in_transaction=True):
            raw = Practitioner.objects.raw(statement)

        sent_nothing(lambda: list(raw))
        sent_nothing(lambda: list(raw.using("default")))
        sent_nothing(lambda: list(raw.prefetch_related("identifiers")))

    def test_that_is_half_way_through_marks_its_rows_rightly(
        self, elms: Practitioner, elm: Organization
    ) -> None:
        """
        The rows were read for Elm, whoever is active when they are taken out.
        """
        with context.override(elm.as_active(), in_transaction=True):
            Practitioner.objects.create(family="Second")
            rows = Practitioner.objects.iterator(chunk_size=1)
            next(rows)

        assert str(ownership.owner_of(next(rows))) == "elm"

    def test_of_prefetched_rows_is_refused(self, elms: Practitioner, elm: Organization) -> None:
        with context.override(elm.as_active(), in_transaction=True):
            prefetched = Practitioner.objects.prefetch_related("identifiers").get()

        sent_nothing(lambda: list(prefetched.identifiers.all()))

    def test_may_be_shown_as_sql_by_nobody(self, in_elm: Organization) -> None:
        queryset = Practitioner.objects.all()

        with context.override(None):
            assert "SELECT" in str(queryset.query)


class TestRow:
    """Whatever brings it, each row knows its owner, and knowing costs no query."""

    BRINGS: dict[str, Callable[[], Any]] = {
        "get": lambda: Permission.objects.select_related("content_type").first(),
        "related": lambda: Permission.objects.select_related("content_type").first().content_type,
        "foreign-key": lambda: Permission.objects.first().content_type,
        "using": lambda: Permission.objects.using("default").first(),
        "raw": lambda: Permission.objects.raw(f"SELECT * FROM {Permission._meta.db_table}")[0],
        "iterator": lambda: next(Permission.objects.iterator()),
        "created": lambda: Group.objects.create(name="x"),
        "created-using": lambda: Group.objects.using("default").create(name="x"),
        "saved": lambda: _saved(Group(name="x")),
        "saved-using": lambda: _saved(Group(name="x"), using="default"),
        "bulk": lambda: Group.objects.bulk_create([Group(name="x")])[0],
        "got-or-created": lambda: Group.objects.get_or_create(name="x")[0],
    }

    @pytest.mark.parametrize("bring", BRINGS.values(), ids=BRINGS)
    def test_knows_its_owner(self, in_elm: Organization, bring: Callable[[], Any]) -> None:
        assert str(ownership.owner_of(bring())) == "elm"


def _saved(instance: Model, **options: Any) -> Model:
    instance.save(**options)
    return instance
