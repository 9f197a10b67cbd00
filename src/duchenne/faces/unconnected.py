"""Keeping MediaPipe from the network: it would report usage figures to its maker, and offers no switch.

Its HTTP client (libcurl) asks the environment for a proxy before it looks up any name. While landmarkers are open, the
environment of the process's C libraries names one that cannot be parsed, so every request ends there: no name is
looked up, no socket opened. `os.environ`, from which Python's own clients read, is left as it is.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Final

_PROXY: Final = "https_proxy"
_UNPARSABLE: Final = "http://["
_EXCEPTIONS: Final = ("no_proxy", "NO_PROXY")
"""Hosts that are asked without the proxy, which may be all."""
_LOCK: Final = threading.Lock()
_holders = 0


def silent_options(options: Any) -> Any:
    """MediaPipe's `BaseOptions`, with which it trusts no server: what a request would send stays unsent in any case."""
    convert = options.to_ctypes

    def without_authorities() -> Any:
        converted = convert()
        converted.ca_bundle_path = os.devnull.encode()
        return converted

    options.to_ctypes = without_authorities
    return options


def hold() -> None:
    """Takes the network from the process's libcurl until as many calls of `release`."""
    global _holders
    with _LOCK:
        _holders += 1
        if _holders == 1:
            os.putenv(_PROXY, _UNPARSABLE)
            for name in _EXCEPTIONS:
                os.unsetenv(name)


def release() -> None:
    """Gives back what `hold` took, when called as often."""
    global _holders
    with _LOCK:
        _holders -= 1
        if _holders == 0:
            for name in (_PROXY, *_EXCEPTIONS):
                if name in os.environ:
                    os.putenv(name, os.environ[name])
                else:
                    os.unsetenv(name)
