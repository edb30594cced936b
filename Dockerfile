# syntax=docker/dockerfile:1
# docker build --tag ecurie .                            for the CPU
# docker build --tag ecurie --build-arg TORCH=cuda .     for NVIDIA cards: PyTorch brings CUDA, the host the driver
ARG DEBIAN=bookworm-slim

FROM debian:${DEBIAN} AS build
ARG TORCH=cpu
ARG VERSION=0.1.0
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# Pinned versions of Debian's packages leave its mirrors after days.
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install --yes --no-install-recommends python3 python3-venv && \
    rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/ecurie
WORKDIR /source
# PyTorch is by far the largest: a layer of its own, which a change of the code leaves as it is.
COPY constraints.txt ./
RUN if [ "$TORCH" = cpu ]; then index=(--extra-index-url https://download.pytorch.org/whl/cpu); else index=(); fi && \
    /opt/ecurie/bin/pip install --no-cache-dir --constraint constraints.txt "${index[@]}" torch
COPY pyproject.toml README.md LICENSE NOTICE.md ./
COPY src ./src
# Git's history, which tells the version, is not in the build context.
RUN SETUPTOOLS_SCM_PRETEND_VERSION_FOR_ECURIE="$VERSION" \
    /opt/ecurie/bin/pip install --no-cache-dir --constraint constraints.txt '.[cluster,mcp,traces]' && \
    /opt/ecurie/bin/pip uninstall --yes pip

FROM debian:${DEBIAN}
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install --yes --no-install-recommends ca-certificates python3 && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --uid 10001 --create-home ecurie && \
    install --directory --owner=ecurie --group=ecurie /data
COPY --from=build /opt/ecurie /opt/ecurie
ENV PATH=/opt/ecurie/bin:$PATH \
    ECURIE_DATA_DIR=/data \
    ECURIE_HOST=0.0.0.0 \
    HOME=/data
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8009
HEALTHCHECK --start-period=60s --interval=30s --timeout=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8009/healthz', timeout=4)"]
ENTRYPOINT ["ecurie"]
CMD ["serve"]
