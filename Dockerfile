# The relay: `docker run pg-tide --postgres-url ...`, or any other command of pg-tide.
# Two stages: uv installs what uv.lock pins, the second keeps only the result. No volume: all state is in PostgreSQL.
FROM python:3.13-slim AS build
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_PROJECT_ENVIRONMENT=/opt/pg-tide \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-default-groups --no-install-project
COPY README.md LICENSE ./
COPY sql sql
COPY wire_formats wire_formats
COPY relay relay
COPY dev/pg_tide_dev dev/pg_tide_dev
RUN uv sync --frozen --no-default-groups --no-editable

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin tide
COPY --from=build /opt/pg-tide /opt/pg-tide
ENV PATH=/opt/pg-tide/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PG_TIDE_LOG_FORMAT=json
USER 10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s CMD ["pg-tide", "status"]
ENTRYPOINT ["pg-tide"]
CMD ["run"]
