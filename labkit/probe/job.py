"""Windows' job objects: what a process starts belongs to its job, and can be ended with it.

Elsewhere a process group does that. By Microsoft's documentation ("Job Objects"): a process that belongs to
a job already, as under a venv's python.exe or in a terminal, may be put into another one inside it.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

_KILL_ON_JOB_CLOSE = 0x2000  # JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
_EXTENDED_LIMITS = 9  # JobObjectExtendedLimitInformation
_MAY_ADD = 0x0100 | 0x0001  # PROCESS_SET_QUOTA, PROCESS_TERMINATE


class _Limits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("PerProcessUserTimeLimit", ctypes.c_int64),
        ("PerJobUserTimeLimit", ctypes.c_int64),
        ("LimitFlags", ctypes.c_uint32),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", ctypes.c_uint32),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", ctypes.c_uint32),
        ("SchedulingClass", ctypes.c_uint32),
        ("IoInfo", ctypes.c_uint64 * 6),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    )


def _kernel32() -> Any:
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]  # Windows alone has it
    handle = ctypes.c_void_p
    for name, result, arguments in (
        ("CreateJobObjectW", handle, (handle, ctypes.c_wchar_p)),
        ("SetInformationJobObject", ctypes.c_int, (handle, ctypes.c_int, handle, ctypes.c_uint32)),
        ("OpenProcess", handle, (ctypes.c_uint32, ctypes.c_int, ctypes.c_uint32)),
        ("AssignProcessToJobObject", ctypes.c_int, (handle, handle)),
        ("TerminateJobObject", ctypes.c_int, (handle, ctypes.c_uint32)),
        ("CloseHandle", ctypes.c_int, (handle,)),
    ):
        function = getattr(kernel, name)
        function.restype, function.argtypes = result, arguments
    return kernel


class Job:
    """The process of this number and all that it starts from now on. They end with this object, at the
    latest: the system closes a handle of a process that is killed, too.

    Args:
        kernel: kernel32.dll.
    """

    def __init__(self, pid: int, kernel: Any = None) -> None:
        self._kernel = kernel = kernel or _kernel32()
        self._handle = kernel.CreateJobObjectW(None, None)
        limits = _Limits(LimitFlags=_KILL_ON_JOB_CLOSE)
        kernel.SetInformationJobObject(
            self._handle, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
        )
        weakref.finalize(self, kernel.CloseHandle, self._handle)
        if process := kernel.OpenProcess(_MAY_ADD, 0, pid):  # else it has ended already
            kernel.AssignProcessToJobObject(self._handle, process)
            kernel.CloseHandle(process)

    def kill(self) -> None:
        """End them all, and do not wait for that."""
        self._kernel.TerminateJobObject(self._handle, 1)
