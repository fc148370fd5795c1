# The service, for galleries in PostgreSQL: docker build -t resight .
# Two stages: the second has no compiler and no package cache.
FROM python:3.12-slim-bookworm AS build
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/resight
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
# PyTorch for processors only; a build for GPUs is some gigabytes larger.
RUN /opt/resight/bin/pip install -c constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu \
        ".[postgres,serve,onnx]"

FROM python:3.12-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin resight
COPY --from=build /opt/resight /opt/resight
ENV PATH=/opt/resight/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 RESIGHT_CACHE=/tmp/cache
USER 10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["resight"]
CMD ["--help"]
