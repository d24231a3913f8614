# HLG-Mobile on Ascends: make image-ascend CANN=9.1.0 CHIP=910
#
# The base brings CANN and its Python; the driver is the host's. CHIP=910b for Atlas A2.
ARG CANN=9.1.0
ARG CHIP=910
ARG BASE_IMAGE=quay.io/ascend/cann:${CANN}-${CHIP}-ubuntu22.04-py3.11
FROM ${BASE_IMAGE}

# The packages first: they are the same for many commits.
COPY docker/install.sh docker/check_libraries.sh docker/stacks.json /opt/hlg-repro/docker/
COPY docker/ascend.lock docker/installer.lock /opt/hlg-repro/docker/
COPY docker/releases /opt/hlg-repro/docker/releases
COPY repro/bootstrap.py /opt/hlg-repro/repro/
ARG MINDSPORE
RUN --mount=type=secret,id=ca-bundle --mount=type=secret,id=pip-config /opt/hlg-repro/docker/install.sh ascend "$MINDSPORE"
# CANN's paths are in the base's environment, and stay before ours.
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/hlg-repro${PYTHONPATH:+:$PYTHONPATH} HOME=/tmp ASCEND_WORK_PATH=/tmp
RUN /opt/hlg-repro/docker/check_libraries.sh ascend

COPY . /opt/hlg-repro
RUN python -m compileall -q --invalidation-mode unchecked-hash /opt/hlg-repro

ARG BASE_IMAGE
ARG REVISION=unknown
ARG SOURCE=unknown
ARG VERSION=unknown
ARG MINDSPORE
ENV HLG_COMMIT=${REVISION}
LABEL org.opencontainers.image.title="hlg-repro for Ascend" \
      org.opencontainers.image.description="HLG-Mobile on MindSpore: training, evaluation, comparison with the published run" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      mindspore.version="${MINDSPORE}"
USER 1000:1000
WORKDIR /opt/hlg-repro
ENTRYPOINT ["tini", "--", "/opt/hlg-repro/docker/with_cann.sh"]
CMD ["python", "-m", "hlg.train", "--help"]
