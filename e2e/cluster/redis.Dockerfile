# A stand-in for the image of Redis where no container registry can be reached: Debian's Redis, under the chart's name.
ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install --yes --no-install-recommends redis-server redis-sentinel
