"""What each container is given is what the settings take: they are loaded with it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from tests.k8s import manifests
from tests.k8s.manifests import BASE, OVERLAYS, ROOT, load

# What a value out of a Secret looks like: letters and digits.
SECRET = "0123456789abcdef" * 4
# Loads the settings anew for each environment that it reads, and says what they became.
SHOW = """
import importlib, json, os, sys

def load(environment):
    os.environ.clear()
    os.environ.update(environment)
    for name in [name for name in sys.modules if name.startswith("clinicx")]:
        del sys.modules[name]
    settings = importlib.import_module("clinicx.settings.production")
    return {
        "databases": {
            alias: {name: database.get(name) for name in ("HOST", "PORT", "USER", "OPTIONS")}
            for alias, database in settings.DATABASES.items()
        },
        "pooler": settings.TENANCY_POOLER_MODES,
        "domain": settings.TENANCY_BASE_DOMAIN,
    }

print(json.dumps([load(each) for each in json.load(sys.stdin)], default=str))
"""


def environment(container, shared):
    """Return what the kubelet would put into the container's environment."""
    found = dict(shared)
    for each in container["env"]:
        value = each.get("value")
        if value is None:
            value = SECRET if "secretKeyRef" in each["valueFrom"] else "a-pod"
        for name in re.findall(r"\$\((\w+)\)", value):
            value = value.replace(f"$({name})", found[name])
        found[each["name"]] = value
    return found


def distinct():
    """Return each environment of ours once, by the first container that has it."""
    found = {}
    for overlay in OVERLAYS:
        objects = manifests.overlay(overlay)
        shared = manifests.find(objects, "ConfigMap", "clinicx")["data"]
        for workload in manifests.workloads(objects):
            for container in workload.containers:
                if container["image"].startswith("clinicx/backend:"):
                    given = environment(container, shared)
                    found.setdefault(
                        json.dumps(given, sort_keys=True),
                        (f"{overlay}: {workload}/{container['name']}", given),
                    )
    return list(found.values())


def load_settings(*environments):
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=ROOT,
        input=json.dumps(environments),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class TestSettings:
    def test_take_what_every_container_is_given(self):
        every = distinct()

        all_found = load_settings(*(given for _, given in every))

        for (where, given), found in zip(every, all_found, strict=True):
            assert found["domain"] == given["BASE_DOMAIN"], where
            if SECRET in given["DATABASE_URL"]:
                for alias, database in found["databases"].items():
                    options = database["OPTIONS"]
                    assert options["sslmode"] == "verify-full", (where, alias)
                    asked = "authority" if "pgbouncer" in given["DB_HOST"] else "postgres"
                    wanted = f"/etc/clinicx/{asked}.crt"
                    assert options["sslrootcert"] == wanted, (where, alias)

    def test_lead_pages_through_the_pooler_without_the_owner(self):
        objects = manifests.overlay("peak")
        shared = manifests.find(objects, "ConfigMap", "clinicx")["data"]
        deployment = manifests.find(objects, "Deployment", "clinicx-backend")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]

        (found,) = load_settings(environment(container, shared))

        assert found["databases"].keys() == {"default"}
        application = found["databases"]["default"]
        assert application["HOST"].startswith("pgbouncer.")
        assert application["USER"] == "clinicx_app"
        # Ten of a pod, for two workers.
        assert application["OPTIONS"]["pool"]["max_size"] == 5
        assert found["pooler"] == {"default": "transaction"}

    def test_lead_migrations_to_the_server(self):
        job = load(BASE / "jobs" / "job-migrate.yaml")["spec"]["template"]["spec"]
        shared = load(BASE / "configmap.yaml")["data"]

        (found,) = load_settings(environment(job["containers"][0], shared))

        owner = found["databases"]["ddl"]
        assert owner["HOST"].startswith("postgres-service.")
        assert owner["USER"] == "clinicx_ddl_login"

    def test_give_beat_no_password(self):
        beat = load(BASE / "beat" / "deployment.yaml")["spec"]["template"]["spec"]

        assert "password" not in json.dumps(beat["containers"]).replace("redis-password", "")
