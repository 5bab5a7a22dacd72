# ClinicX as an image: one for every kind of process; what it does is its command.

# Any Debian-like base that has python3 >= 3.11 with venv. Nothing is added to it.
ARG BASE_IMAGE=python:3.12-slim-bookworm


FROM ${BASE_IMAGE} AS build

# Its own environment, because it is copied whole and has no pip that somebody could use.
RUN python3 -m venv --without-pip /opt/clinicx

# Before the code, so that a change of code does not install everything again.
# Wheels only: a compiler would stay in no image, but it would have to be in the base.
COPY requirements-production.txt /tmp/
RUN python3 -m venv /tmp/installer \
    && /tmp/installer/bin/pip --python /opt/clinicx/bin/python install \
        --no-cache-dir --no-compile --only-binary :all: --require-hashes \
        --requirement /tmp/requirements-production.txt

WORKDIR /srv/clinicx
COPY manage.py ./
COPY tenancy ./tenancy
COPY apps ./apps
COPY clinicx ./clinicx

# Static files under names that contain their hash. Settings insist on addresses and a key;
# nothing connects here, and nothing of these is in the next stage.
RUN SECRET_KEY=unused BASE_DOMAIN=unused REDIS_URL=redis://unused/0 \
    DATABASE_URL=postgresql://unused/unused \
    DJANGO_SETTINGS_MODULE=clinicx.settings.production \
    /opt/clinicx/bin/python manage.py collectstatic --no-input


FROM ${BASE_IMAGE}

LABEL org.opencontainers.image.title="ClinicX" \
      org.opencontainers.image.description="Clinic management, a PostgreSQL schema for each clinic"

COPY --from=build /opt/clinicx /opt/clinicx
COPY --from=build /srv/clinicx /srv/clinicx

# No byte code: the root file system may be read-only. No buffer: the last words of a
# process that is killed are those one wants to read.
ENV PATH=/opt/clinicx/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=clinicx.settings.production

WORKDIR /srv/clinicx

# A number and not a name: Kubernetes checks runAsNonRoot by the number. It owns no file.
USER 10001:10001

EXPOSE 8080
# A worker and beat are asked by their file, a web server for a page; Kubernetes ignores it and
# has its own probes.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-m", "clinicx", "alive"]

# web, worker, owner-worker, beat, migrate, check-migrated: clinicx/__main__.py has them.
ENTRYPOINT ["python", "-m", "clinicx"]
CMD ["web"]
