# Tidegate's worker. Build: docker build -t tidegate . Run: docker run -v ./tidegate.toml:/etc/tidegate/tidegate.toml tidegate

FROM python:3.11.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/tidegate
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY detectors detectors
COPY planners planners
COPY actuators actuators
COPY streams streams
RUN /opt/tidegate/bin/pip install ".[aws,keda,kubernetes,receive,signing]"

FROM python:3.11.13-slim-bookworm
# Numba keeps compiled kernels here, so that a restarted container need not compile them again.
RUN useradd --system --uid 10001 --home-dir /var/lib/tidegate --create-home tidegate
ENV PATH=/opt/tidegate/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/var/lib/tidegate/numba
COPY --from=build /opt/tidegate /opt/tidegate
USER 10001
WORKDIR /var/lib/tidegate
EXPOSE 8080
# Alive, not ready: a worker that waits for its brokers is healthy, and a restart would not help it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tidegate"]
CMD ["worker", "-c", "/etc/tidegate/tidegate.toml"]
