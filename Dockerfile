# The image holds Python, the locked dependencies and the watcher. It holds no pip, no compiler and no source tree.
# The watcher writes only to /var/lib/watcher; with the store `memory` it writes nothing.

# For a build that can be repeated, name the base image by its digest: --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:... (config/deploy/provenance.md)
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# Dependencies change less often than the code; installed first, their layer is reused.
COPY requirements/build.lock requirements/runtime.lock requirements/
RUN pip install --require-hashes -r requirements/build.lock \
 && python -m venv --without-pip /opt/watcher \
 && pip --python /opt/watcher/bin/python install --require-hashes --no-compile -r requirements/runtime.lock

COPY pyproject.toml README.md LICENSE ./
COPY watcher watcher
RUN pip wheel --no-deps --no-build-isolation --no-index --wheel-dir dist . \
 && pip --python /opt/watcher/bin/python install --no-deps --no-index --no-compile dist/*.whl

# A read-only container cannot keep bytecode: without this, each start and each health check compiles what it imports.
# The sources never change, so Python does not compare bytecode with them (unchecked-hash).
RUN python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash /opt/watcher/lib


FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="speaker-search-watcher" \
      org.opencontainers.image.description="Watches Amazon Chime SDK Voice tasks by polling and delivers an event for every status change: at least once, in order for each task." \
      org.opencontainers.image.licenses="Apache-2.0"

# Compile the standard library too, except what a service never imports. USER is a number, so that a platform can check that it is not root.
RUN python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash \
      -x '/(site-packages|ensurepip|idlelib|lib2to3|pydoc_data|test|tkinter|turtledemo|unittest)/' "$(python -c 'import os; print(os.path.dirname(os.__file__))')" \
 && python -m pip uninstall --yes --quiet --root-user-action=ignore pip \
 && groupadd --gid 10001 watcher \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/watcher --shell /usr/sbin/nologin watcher \
 && install -d -o 10001 -g 10001 -m 0770 /var/lib/watcher

COPY --from=build /opt/watcher /opt/watcher
COPY config/deploy/container.yaml /etc/watcher/watcher.yaml

ENV PATH=/opt/watcher/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/watcher
EXPOSE 8080
STOPSIGNAL SIGTERM

# /healthz answers while the event loop runs; it does not depend on AWS. http.client ignores proxy settings.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=2 \
  CMD ["python", "-c", "from http.client import HTTPConnection as C; c = C('localhost', 8080, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]

ENTRYPOINT ["watcher"]
CMD ["run", "--config", "/etc/watcher/watcher.yaml"]
