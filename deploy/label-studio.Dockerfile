FROM python:3.11.13-slim-bookworm
RUN apt-get update && apt-get install --no-install-recommends -y curl libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir label-studio==1.23.2 gunicorn==27.0.1
COPY with-secrets.sh label-studio.sh /usr/local/bin/
RUN useradd --uid 1000 --create-home app && mkdir /data && chown app /data
USER app
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["with-secrets.sh"]
CMD ["label-studio.sh"]
