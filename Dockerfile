# Graft and all that it runs on, in the versions of requirements.txt:
#   docker build -t graft . && docker run --rm -v "$PWD:/study" graft graft run demo
# On a cluster, whose jobs use the packages of the image with the library of their checkout: apptainer.def.
FROM python:3.11-slim-bookworm

# DeepSpeed builds its operators when it is first used.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

COPY requirements.txt /opt/graft/
RUN pip install --no-cache-dir --requirement /opt/graft/requirements.txt

COPY . /opt/graft/
RUN pip install --no-cache-dir --no-deps /opt/graft

WORKDIR /study
