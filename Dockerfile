# One image for every process of the pipeline: `celery -A tasks worker|beat|flower` and the `activation` command.
# `make pin-images` writes the digest beside the tag.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
RUN python -m venv /opt/activation
ENV PATH=/opt/activation/bin:$PATH
WORKDIR /build
# dependencies in a layer of their own: it is made anew only when they change. Nothing comes in whose hash is not in the lock file
COPY deploy/constraints/image.txt ./
RUN python -m pip install --no-cache-dir --require-hashes --only-binary :all: --requirement image.txt
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY tasks tasks
RUN python -m pip install --no-cache-dir --no-deps --no-build-isolation .

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --create-home activation
COPY --from=build /opt/activation /opt/activation
ENV PATH=/opt/activation/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /home/activation
CMD ["activation", "--help"]
