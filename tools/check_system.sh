#!/bin/sh
# Checks for what pip cannot install: Python 3.11 or newer with venv, and the system libraries that OpenCV and
# MediaPipe load. Prints the one apt-get line that mends it and fails. With --packages it only prints the missing
# packages (nothing where all is there) and succeeds.
#
# PYTHON names the interpreter to check (python3 by default).

python="${PYTHON:-python3}"

if [ "$(uname -s)" != Linux ]; then
    libraries=""
else
    libraries="libGL.so.1:libgl1 libglib-2.0.so.0:libglib2.0-0 libgthread-2.0.so.0:libglib2.0-0 libEGL.so.1:libegl1
               libGLESv2.so.2:libgles2"
fi

if ! command -v "$python" >/dev/null 2>&1; then
    missing="$python"
    packages="python3 python3-venv libgl1 libglib2.0-0 libegl1 libgles2"
else
    # shellcheck disable=SC2086  # one argument per library
    found=$("$python" - $libraries <<'PYTHON'
import ctypes
import sys

missing, packages = [], []
if sys.version_info < (3, 11):
    sys.exit(f"Duchenne needs Python 3.11 or newer, and {sys.executable} is {sys.version.split()[0]}; "
             "name a newer one as in `make PYTHON=python3.12 test`.")
try:
    import ensurepip, venv  # noqa: E401, F401
except ImportError:
    missing.append("Python's venv")
    packages.append("python3-venv")
for library, package in (word.split(":") for word in sys.argv[1:]):
    try:
        ctypes.CDLL(library)
    except OSError:
        missing.append(library)
        packages.append(package)
print(", ".join(missing), " ".join(dict.fromkeys(packages)), sep="\n")
PYTHON
    ) || exit 1
    missing=$(echo "$found" | sed -n 1p)
    packages=$(echo "$found" | sed -n 2p)
fi

if [ "${1:-}" = --packages ]; then
    echo "$packages"
    exit 0
fi
[ -z "$missing" ] && exit 0
echo "Duchenne needs what is not here: $missing. On Debian 12 or Ubuntu 24.04 and newer:" >&2
echo "    $([ "$(id -u)" = 0 ] || echo sudo\ )apt-get install $packages" >&2
exit 1
