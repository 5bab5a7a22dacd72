# ClinicX as an image: one for every kind of process; what it does is its command.
# `make image` builds it, and on a machine without an engine makes the base, too.

# Debian 13 or newer with python3 >= 3.11: its PostgreSQL client is 17, and pg_dump reads no
# server that is newer than itself.
ARG BASE_IMAGE=python:3.12-slim-trixie
# The same Python, with pip.
ARG BUILD_IMAGE=${BASE_IMAGE}


# hadolint ignore=DL3006  # whoever builds says which base, with its tag or its digest
FROM ${BUILD_IMAGE} AS build

# Byte code that is valid whatever a file's time is, made once below: the root file system is
# read-only, and to compile everything anew takes seconds of each start.
ENV PYTHONDONTWRITEBYTECODE=1

# Its own environment, because it is copied whole and has no pip that somebody could use.
RUN python3 -m venv --without-pip /opt/clinicx

# Before the code, so that a change of code does not install everything again.
# Wheels only: a compiler would stay in no image, but it would have to be in the base.
# An index of your own is a secret of the build, and so in no layer: --secret id=pip,src=pip.conf
COPY requirements-production.txt /tmp/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m pip --python /opt/clinicx/bin/python install \
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
    /opt/clinicx/bin/python manage.py collectstatic --no-input \
    && /opt/clinicx/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        /opt/clinicx/lib /srv/clinicx


# hadolint ignore=DL3006  # as above
FROM ${BASE_IMAGE}

# psql for `manage.py dbshell` and the roles' script, pg_dump for backups; which version is the
# base's to say. What else a base may bring and nobody shall have here: pip, and programs that
# run as root whoever starts them.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/* \
        /usr/local/bin/pip* /usr/local/lib/python3*/ensurepip \
        /usr/local/lib/python3*/site-packages/pip* \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +

COPY --from=build /opt/clinicx /opt/clinicx
COPY --from=build /srv/clinicx /srv/clinicx

# No byte code is written: the root file system may be read-only. No buffer: the last words of
# a process that is killed are those one wants to read.
ENV PATH=/opt/clinicx/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=clinicx.settings.production

WORKDIR /srv/clinicx

# A number and not a name: Kubernetes checks runAsNonRoot by the number. It owns no file.
USER 10001:10001

# Pages, and what Prometheus reads.
EXPOSE 8080 9102

# A worker and beat are asked by their file, a web server for a page; Kubernetes ignores it and
# has its own probes.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-m", "clinicx", "alive"]

# web, worker, owner-worker, beat, migrate, check-migrated: clinicx/__main__.py has them.
ENTRYPOINT ["python", "-m", "clinicx"]
CMD ["web"]

# Last, because they differ at each build.
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=unknown
ENV CLINICX_VERSION=${VERSION}
LABEL org.opencontainers.image.title="ClinicX" \
      org.opencontainers.image.description="Clinic management, a PostgreSQL schema for each clinic" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
