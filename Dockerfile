# The image holds Python, the locked dependencies and the watcher; no pip, no compiler, no source tree.
# It needs nothing to write to but its state, /var/lib/watcher, and not even that with the store `memory`.

FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# Dependencies come first: they change less often than the code, and this layer is then reused.
COPY requirements/build.lock requirements/runtime.lock requirements/
RUN pip install --require-hashes -r requirements/build.lock \
 && python -m venv --without-pip /opt/watcher \
 && pip --python /opt/watcher/bin/python install --require-hashes --no-compile -r requirements/runtime.lock

COPY pyproject.toml README.md LICENSE ./
COPY watcher watcher
RUN pip wheel --no-deps --no-build-isolation --no-index --wheel-dir dist . \
 && pip --python /opt/watcher/bin/python install --no-deps --no-index --no-compile dist/*.whl

# A read-only container cannot keep bytecode: without this, every start and every health check would compile what it imports.
# What is compiled once never changes, so that nothing compares it with its source either.
RUN python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash /opt/watcher/lib


FROM python:3.13-slim
LABEL org.opencontainers.image.title="speaker-search-watcher" \
      org.opencontainers.image.description="Watches Amazon Chime SDK Voice tasks by polling and tells the world, once and in order, whenever one changes status." \
      org.opencontainers.image.licenses="Apache-2.0"

# The standard library likewise, but for what a service never imports. The user has a number, so that a platform can tell it is not root.
RUN python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash \
      -x '/(site-packages|ensurepip|idlelib|lib2to3|pydoc_data|test|tkinter|turtledemo|unittest)/' "$(python -c 'import os; print(os.path.dirname(os.__file__))')" \
 && python -m pip uninstall --yes --quiet --root-user-action=ignore pip \
 && groupadd --gid 10001 watcher \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/watcher --shell /usr/sbin/nologin watcher \
 && install -d -o 10001 -g 10001 -m 0750 /var/lib/watcher

COPY --from=build /opt/watcher /opt/watcher
COPY config/deploy/container.yaml /etc/watcher/watcher.yaml

ENV PATH=/opt/watcher/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/watcher
EXPOSE 8080
STOPSIGNAL SIGTERM

# Health is that the loop turns; it never depends on AWS. http.client, because that asks no proxy the way to localhost.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=2 \
  CMD ["python", "-c", "from http.client import HTTPConnection as C; c = C('localhost', 8080, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]

ENTRYPOINT ["watcher"]
CMD ["run", "--config", "/etc/watcher/watcher.yaml"]
