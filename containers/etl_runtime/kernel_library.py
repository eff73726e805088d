"""The compiled loops (`kernel/*.c`): the library that holds them, and the types of their arguments."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault

POINTER, SIZE, U64, I64 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64, ctypes.c_int64
Signatures = Mapping[str, tuple[Any, Sequence[Any]]]
"""Of functions by name: the result's type, and the arguments'."""


class Numbers(ctypes.Structure):
    """A list of 64-bit numbers that a function made; `etl_free` gives its `data` back."""

    _fields_ = [("data", POINTER), ("size", SIZE), ("room", SIZE), ("failed", ctypes.c_int)]


def kernel_library(signatures: Signatures) -> ctypes.CDLL:
    """The library, with these functions declared. A call holds no lock of Python's while it runs.

    Raises:
        Fault: CONFIG when it has not been built.
    """
    try:
        library = ctypes.CDLL(str(Path(__file__).with_name("_kernel.so")))
    except OSError:
        raise Fault(ExitCode.CONFIG, "the kernel is not built: run make, or build the image again") from None
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
