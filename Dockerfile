# One image for every process of the pipeline: `celery -A tasks worker|beat|flower` and the `activation` command.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
RUN python -m venv /opt/activation
ENV PATH=/opt/activation/bin:$PATH
WORKDIR /build
# dependencies in a layer of their own: it is made anew only when they change
COPY pyproject.toml constraints.txt ./
RUN python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*p["dependencies"], *p["optional-dependencies"]["sandbox"], sep="\n")' >requirements.txt \
 && pip install --no-cache-dir --constraint constraints.txt --requirement requirements.txt
COPY README.md LICENSE ./
COPY app app
COPY tasks tasks
RUN pip install --no-cache-dir --no-deps .

FROM python:${PYTHON}-slim
RUN useradd --uid 10001 --create-home activation
COPY --from=build /opt/activation /opt/activation
ENV PATH=/opt/activation/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /home/activation
CMD ["activation", "--help"]
