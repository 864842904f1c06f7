"""How functions are compiled: numba, cached on disk, without the interpreter's lock.

`compiled` marks a function of ours, `compiled_rules` makes compiled twins of the core's functions over
scalars, from the same source. The cache's folder is named by a digest of every source that compiled code is
made from: numba itself only looks at the file of the outermost function. With NOTIFIER_KERNEL_BOUNDS_CHECK=1
every read and write of an array is checked (fuzzing). Imports nothing of ours but the core. Read next:
`join.py`.
"""

import contextlib
import hashlib
import importlib
import os
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

numba: Any = None
with contextlib.suppress(ImportError):  # the extra `fast` may be missing
    numba = importlib.import_module("numba")

BOUNDS_CHECK_VARIABLE = "NOTIFIER_KERNEL_BOUNDS_CHECK"
IS_BOUNDS_CHECKED = os.environ.get(BOUNDS_CHECK_VARIABLE) == "1"
HAS_NUMBA = numba is not None

_SOURCES = Path(__file__).parents[2]
Function = TypeVar("Function", bound=Callable[..., Any])


def cache_folder() -> Path:
    """Return the folder of this source's compiled code, under XDG_CACHE_HOME or ~/.cache. Never raises."""
    digest = hashlib.sha256(f"{getattr(numba, '__version__', '')} {IS_BOUNDS_CHECKED}".encode())
    for path in sorted([*_SOURCES.glob("core/*.py"), *_SOURCES.glob("kernel/**/*.py")]):
        digest.update(path.read_bytes())
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "notifier" / "kernel" / digest.hexdigest()[:16]


def _cache_by_digest() -> None:
    """Have numba find compiled code by what it was made from, wherever the source tree stands.

    Left to itself it asks for the source's path too: every copy of one tree would compile anew.
    """
    caching: Any = importlib.import_module("numba.core.caching")
    folder = cache_folder()

    class ByDigest(caching._CacheLocator):  # type: ignore[misc]  # noqa: SLF001  # numba has no public base
        def __init__(self, function: Callable[..., Any]) -> None:
            self._line = function.__code__.co_firstlineno

        def get_cache_path(self) -> str:
            return str(folder)

        def get_source_stamp(self) -> str:
            return folder.name

        def get_disambiguator(self) -> str:
            return str(self._line)

        @classmethod
        def from_function(cls, function: Callable[..., Any], source: str) -> "ByDigest | None":
            return cls(function) if Path(source).resolve().is_relative_to(_SOURCES) else None

    caching.CacheImpl._locator_classes.insert(0, ByDigest)  # noqa: SLF001  # its setting takes no class that it cannot import by name


if numba is not None:
    _cache_by_digest()


# nothing is allocated in compiled code: without the counting of references half of the time is saved
_OPTIONS = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "boundscheck": IS_BOUNDS_CHECKED,
    "_nrt": False,
}


def has_feature(name: str) -> bool:
    """Tell whether code is compiled for a processor with this feature, by LLVM's name of it."""
    if numba is None:
        return False
    target: Any = importlib.import_module("numba.core.registry").cpu_target.target_context
    return f"+{name}" in target.codegen()._tm_features.split(",")  # noqa: SLF001  # numba has no public name for it


def compiled(function: Function) -> Function:
    """Compile a function when it is first called, from the cache if it was compiled before.

    Without numba the function stays as it is.
    """
    return _made(function)


def compiled_anew(function: Function) -> Function:
    """Compile a function in each process: the cache's name does not know of sources outside `streams`."""
    return _made(function, cache=False)


def inner(function: Function) -> Function:
    """Compile a function that only compiled code calls: it gets no way in from Python, which costs time."""
    return _made(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def inlined(function: Function) -> Function:
    """Compile a small function into each of its callers: an array crosses a call as seven words."""
    return _made(function, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def _made(function: Function, **options: bool) -> Function:
    if numba is None:
        return function
    made: Any = numba.njit(**(_OPTIONS | options))(function)
    template = made.get_call_template

    def widened(args: Sequence[Any], kws: dict[str, Any]) -> Any:
        """Take every whole number as one of 64 bits: numba compiles anew for each constant and width."""
        return template(tuple(map(_widened, args)), kws)

    made.get_call_template = widened
    return cast("Function", made)


def _widened(kind: Any) -> Any:
    plain = numba.types.unliteral(kind)
    is_narrow = isinstance(plain, numba.types.Integer) and plain.signed and plain.bitwidth < 64
    return numba.types.int64 if is_narrow else plain


def compiled_rules(functions: Sequence[Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Return compiled twins of plain functions, by name; a function comes after those that it calls.

    A twin is made of the same code object; only the names of functions mean their twins in it.
    """
    twins: dict[str, Callable[..., Any]] = {}
    for function in functions:
        assert isinstance(function, types.FunctionType)
        names = function.__globals__ | twins
        twin = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__)
        twin.__module__, twin.__qualname__ = function.__module__, function.__qualname__
        twins[function.__name__] = inner(twin)
    return twins
