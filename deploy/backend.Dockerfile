# Built in the repository's root: docker build --file deploy/backend.Dockerfile .
FROM python:3.11.13-slim-bookworm
RUN apt-get update && apt-get install --no-install-recommends -y curl postgresql-client-15 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml constraints.txt MANIFEST.in README.md LICENSE NOTICE ./
COPY models models
COPY ml_backend ml_backend
COPY plugins plugins
# The default index has torch for CUDA, which takes gigabytes; for a small one:
# docker compose build --build-arg PIP_ARGS="--extra-index-url <the index of PyTorch CPU wheels>" backend
ARG PIP_ARGS=
RUN pip install --no-cache-dir $PIP_ARGS -c constraints.txt ".[labelstudio,train]" gunicorn
COPY deploy/with-secrets.sh /usr/local/bin/
RUN useradd --uid 1000 --create-home app && mkdir /data /bridge && chown app /data /bridge
USER app
WORKDIR /data
VOLUME /data
EXPOSE 9090
ENTRYPOINT ["with-secrets.sh"]
CMD ["gunicorn", "--bind", "0.0.0.0:9090", "--workers", "2", "--threads", "8", "--keep-alive", "75", "clickpose_labelstudio.wsgi:app"]
