# HLG-Mobile on a CPU: make image-cpu
#
# Any base with apt does. BASE_IMAGE names another one, by its digest where it must stay the same for ever.
ARG BASE_IMAGE=docker.io/library/debian:bookworm-slim
FROM ${BASE_IMAGE}

# The packages first: they are the same for many commits.
COPY docker/install.sh docker/stacks.json /opt/hlg-repro/docker/
COPY docker/cpu.lock docker/installer.lock /opt/hlg-repro/docker/
COPY docker/releases /opt/hlg-repro/docker/releases
COPY repro/bootstrap.py /opt/hlg-repro/repro/
ARG MINDSPORE
RUN --mount=type=secret,id=ca-bundle --mount=type=secret,id=pip-config /opt/hlg-repro/docker/install.sh cpu "$MINDSPORE"
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/hlg-repro HOME=/tmp

COPY . /opt/hlg-repro
RUN python -m compileall -q --invalidation-mode unchecked-hash /opt/hlg-repro

ARG BASE_IMAGE
ARG REVISION=unknown
ARG SOURCE=unknown
ARG VERSION=unknown
ARG MINDSPORE
ENV HLG_COMMIT=${REVISION}
LABEL org.opencontainers.image.title="hlg-repro for CPU" \
      org.opencontainers.image.description="HLG-Mobile on MindSpore: training, evaluation, comparison with the published run" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      mindspore.version="${MINDSPORE}"
USER 1000:1000
WORKDIR /opt/hlg-repro
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "hlg.train", "--help"]
