# The Python that the tests run on, by its exact tag: another one is a change of this line, which the
# tests then see first. It comes without a compiler. docs/operate.md says when to change it; a test
# fails when it is older than half a year.
# Made on 2026-08-25
FROM python:3.11.16-slim-bookworm AS base


FROM base AS build
WORKDIR /app
# Without a pip of its own: the base has one, which is enough to fill it.
RUN python3 -m venv --without-pip venv
COPY requirements.lock .
# Wheels only: nothing is compiled, and no package's setup code runs.
RUN python3 -m pip --python venv/bin/python install --no-cache-dir --no-compile \
      --require-hashes --only-binary :all: -r requirements.lock \
 && rm requirements.lock
COPY server server
COPY lua lua
# Compiled here, as the root file system may be read-only later; such bytecode is valid whatever a
# copy does to the files' times. And all can be read, whatever the umask of the checkout was.
RUN venv/bin/python -m compileall -q --invalidation-mode unchecked-hash venv/lib server \
 && chmod -R go=rX .


FROM base
ARG REVISION=unknown
LABEL org.opencontainers.image.title="vibe-server" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="Multi-tenant, exactly metered access to AI providers for apps without a backend" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /app /app
COPY LICENSE NOTICE /app/
WORKDIR /app
# One worker: scale by containers, or set WORKERS to the cores that this one may use.
ENV PATH="/app/venv/bin:$PATH" \
    HOST=0.0.0.0 \
    PORT=3000 \
    WORKERS=1
# The base image has no bytecode of the standard library. Importing ours stores what it uses; later
# nothing is stored, wherever there would be a place.
RUN ["python", "-c", "import server.process.command, server.process.worker"]
ENV PYTHONDONTWRITEBYTECODE=1
# A number, so that Kubernetes can see that it is not root. All of /app belongs to root.
USER 10001:10001
EXPOSE 3000
# Not /readyz: a restart of this container does not bring Redis back. On Linux, connecting to 0.0.0.0
# or :: reaches this host itself.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "import os, sys; from http.client import HTTPConnection; c = HTTPConnection(os.environ.get('HOST') or 'localhost', int(os.environ.get('PORT') or 3000), timeout=2); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]
# Process 1 handles SIGTERM itself: it drains, then exits with 0 within DRAIN_SECONDS +
# GRACE_SECONDS, which is what `docker stop -t` and Kubernetes' grace period must exceed.
ENTRYPOINT ["python", "-m", "server"]
