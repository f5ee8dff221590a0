# One image for device, server and dashboard; the command chooses. docker-compose.yml builds and runs it.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
COPY locks/demo.txt locks/demo.txt
RUN python3 -m venv /opt/moodwire \
    && /opt/moodwire/bin/pip install --no-cache-dir --require-hashes -r locks/demo.txt
COPY . .
# setuptools is among the locked packages, so the build installs nothing that is not pinned.
RUN /opt/moodwire/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM ${BASE}
ENV PATH=/opt/moodwire/bin:$PATH PYTHONUNBUFFERED=1 MPLCONFIGDIR=/tmp/matplotlib
COPY --from=build /opt/moodwire /opt/moodwire
COPY samples /app/samples
# Mount points of volumes: a new volume takes owner and mode from here.
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin moodwire \
    && install -d -m 0700 -o moodwire -g moodwire /config/secrets /config/broker /store /socket /state
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["moodwire"]
