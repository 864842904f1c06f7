# Ends with a clear message when the Python given cannot build our virtual environment.
set -euo pipefail
python="$1"
command -v "$python" >/dev/null || { echo "install: no '$python' found: install Python 3.11 or newer, or say make install PYTHON=..." >&2; exit 1; }
"$python" - <<'PY'
import sys

version = ".".join(map(str, sys.version_info[:3]))
if sys.version_info < (3, 11):
    sys.exit(f"install: Python {version} is too old, 3.11 or newer is needed: say make install PYTHON=python3.11")
try:
    import ensurepip  # noqa: F401
except ImportError:
    sys.exit(
        f"install: Python {version} lacks ensurepip, so it cannot create a virtual environment: "
        f"install your system's package python{sys.version_info[0]}.{sys.version_info[1]}-venv (Debian, Ubuntu) and repeat"
    )
PY
