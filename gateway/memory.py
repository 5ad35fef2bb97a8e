"""Keeps the process small and even: the C library's allocator, and Python's collector of cycles.

Left alone, glibc opens a heap per thread and keeps what each once needed; and after one large
block was freed it serves blocks of up to 32 MB from those heaps, where they leave holes. Books
and masters are such blocks, on several threads.

The collector looks through everything that lives, the whole program among it, and nothing else
runs meanwhile: a tenth of a second, in which an order waits. So what a start made is taken out of
its sight. Records that a day piles up hold no cycles and are not in it either (`gc=False`).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import linecache

_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
_ARENA_MAX = -8


def keep_small() -> None:
    """Set the allocator up for one heap and early returns; call it before threads are started.

    Does nothing where the C library has no such settings.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_ARENA_MAX, 1)
        # Setting them also ends their growing by themselves.
        library.mallopt(_MMAP_THRESHOLD, 64 * 1024)
        library.mallopt(_TRIM_THRESHOLD, 128 * 1024)


def start_without_collecting() -> None:
    """Let a start be one: almost all that it makes stays. `settle` ends it."""
    gc.disable()


def settle() -> None:
    """Collect what the start left behind, then never look through the rest again."""
    # The web framework looks at who makes an application, and so reads sources line by line.
    linecache.clearcache()
    gc.collect()
    gc.freeze()
    gc.enable()


def give_back() -> None:
    """Return what a large parse has freed to the system."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
