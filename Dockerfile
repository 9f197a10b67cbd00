# Duchenne in a container, for the CPU or, with the NVIDIA container toolkit, a GPU:
#
#   docker build -t duchenne .
#   docker run --rm -v "$PWD:/data" duchenne detect interview.mp4
#   docker run --rm --gpus all --shm-size 2g -v "$PWD:/data" duchenne pretrain clp --data faces --out run
#
# For a smaller image without GPU libraries, name an index of PyTorch's CPU builds:
#   docker build --build-arg PIP_EXTRA_INDEX_URL=... -t duchenne .
FROM python:3.11-slim-bookworm

# What MediaPipe and OpenCV load, see tools/check_system.sh
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 libegl1 libgles2 \
    && rm -rf /var/lib/apt/lists/*

ARG PIP_EXTRA_INDEX_URL=
WORKDIR /opt/duchenne
# setup.py reads README.md; the package needs no more of the repository.
COPY pyproject.toml setup.py constraints.txt README.md LICENSE THIRD_PARTY.md ./
COPY src ./src
RUN PIP_EXTRA_INDEX_URL="$PIP_EXTRA_INDEX_URL" \
    pip install --no-cache-dir --disable-pip-version-check -c constraints.txt ".[train,onnx]" \
    && rm -rf build src/*.egg-info

# Files that it writes belong to whoever runs it: docker run --user "$(id -u):$(id -g)" ...
# Whoever that is must be able to write into both folders.
RUN useradd --create-home duchenne && mkdir -p /data /models && chmod 1777 /data /models
USER duchenne
# Model files are fetched once when they are first needed; keep them in a volume: -v duchenne-models:/models
ENV XDG_CACHE_HOME=/models HOME=/home/duchenne MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /data
ENTRYPOINT ["duchenne"]
CMD ["--help"]
