"""The kernel's compiled path: the core's rules over columns of bytes.

Everything here is optional: without numba the interpreted path decides all. `jit` says how functions are
compiled. May import wire and core. Read next: `jit.py`.
"""
