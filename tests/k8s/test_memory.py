"""What PostgreSQL's processes remember fits into what its pods have, in every overlay."""

from __future__ import annotations

import math
import re

import pytest

from tests.k8s import manifests

# Of decision 35: clinics that an overlay is for at most, visits a second of one connection,
# megabytes of one clinic's catalogue, and what one process may have.
CLINICS = {"staging": 100, "production": 100, "high": 300, "peak": 1000}
VISITS = 5
MEGABYTES = 0.6
BOUND = 200


def number(name: str, text: str) -> int:
    """Return what the last line of this name says, as PgBouncer would."""
    return int(re.findall(rf"^{name} = (\d+)$", text, re.MULTILINE)[-1])


def pooler(overlay: str) -> str:
    objects = manifests.overlay(overlay)
    data = manifests.find(objects, "ConfigMap", "pgbouncer-config")["data"]
    return data["pgbouncer.ini"] + data["overlay.ini"]


def megabytes(*, clinics: int, lifetime: int) -> float:
    return clinics * (1 - math.exp(-VISITS * lifetime / clinics)) * MEGABYTES


def processes(overlay: str) -> int:
    replicas = manifests.find(manifests.overlay(overlay), "Deployment", "pgbouncer")["spec"][
        "replicas"
    ]
    text = pooler(overlay)
    return replicas * (number("default_pool_size", text) + number("reserve_pool_size", text))


@pytest.mark.parametrize("overlay", CLINICS)
class TestProcesses:
    def test_stay_within_their_bound(self, overlay):
        lifetime = number("server_lifetime", pooler(overlay))

        assert megabytes(clinics=CLINICS[overlay], lifetime=lifetime) <= BOUND

    def test_fit_beside_the_buffers(self, overlay):
        spec = manifests.find(manifests.overlay(overlay), "Cluster", "postgres")["spec"]
        memory = int(spec["resources"]["limits"]["memory"].removesuffix("Gi"))
        buffers = int(spec["postgresql"]["parameters"]["shared_buffers"].removesuffix("GB"))
        lifetime = number("server_lifetime", pooler(overlay))
        each = megabytes(clinics=CLINICS[overlay], lifetime=lifetime) / 1024

        assert buffers + processes(overlay) * each < memory

    def test_are_fewer_than_the_server_takes(self, overlay):
        spec = manifests.find(manifests.overlay(overlay), "Cluster", "postgres")["spec"]

        assert processes(overlay) == 60
        assert processes(overlay) < int(spec["postgresql"]["parameters"]["max_connections"])


def test_an_hour_would_not_be_a_bound():
    """What was asked for, at the peak: the overlay's minute is there for a reason."""
    assert megabytes(clinics=1000, lifetime=3600) > BOUND
    assert megabytes(clinics=1000, lifetime=300) > BOUND
