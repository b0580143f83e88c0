# A substitute for the Redis image if no container registry can be reached: the Redis of Debian, with the same image name.
ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install --yes --no-install-recommends redis-server redis-sentinel
