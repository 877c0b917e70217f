"""What kernels and their helpers are made with, and an array without its reference count.

A kernel's helpers take the batch as an argument, and each call would count a reference up and down, atomically:
more work than reading a name. The caller of a kernel holds its arrays, so that within one nothing need be counted.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar, cast

import numba
from numba import njit, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

Function = TypeVar("Function", bound=Callable[..., Any])

SERIES = "0.68"  # of Numba, which `compiler` is written for; any other compiles as it does by itself, for twice as long

if numba.__version__.rpartition(".")[0] == SERIES:
    from dnsonde.wire._kernels import compiler

    KERNEL: dict[str, Any] = {"pipeline_class": compiler.KernelCompiler}
    HELPER: dict[str, Any] = {"pipeline_class": compiler.HelperCompiler}
    remembering: Any = compiler.remembering
else:
    KERNEL, HELPER, remembering = {}, {"cache": True}, nullcontext

compile_as: Any = njit  # its types know only some of its options

NARROW = {types.int8, types.int16, types.int32, types.uint8, types.uint16, types.uint32}

# Compiles a function that Python calls, and keeps the code: without the entry for callers from C.
kernel = compile_as(cache=True, nogil=True, no_cfunc_wrapper=True, **KERNEL)


def helper(function: Function) -> Function:
    """Compile a function that only kernels call: without entries for callers outside, once for all its arguments.

    Numba compiles a called function anew for each constant and each width of an integer among its arguments; LLVM puts
    them in where it inlines.
    """
    compiled = compile_as(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **HELPER)(function)
    template = compiled.get_call_template
    compiled.get_call_template = lambda arguments, named: template(
        tuple(map(_widest, arguments)), {name: _widest(one) for name, one in named.items()}
    )
    return cast("Function", compiled)


def _widest(kind: Any) -> Any:
    """The type that a helper takes such an argument as."""
    kind = types.unliteral(kind)
    return types.int64 if kind in NARROW else kind


def borrowed(array):
    """The same array, uncounted in compiled code; not to be returned from a kernel."""
    return array


@intrinsic
def _uncounted(_typing_context, array):
    def code(context, builder, signature, args):
        view = make_array(signature.args[0])(context, builder, args[0])
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        return impl_ret_borrowed(context, builder, signature.return_type, view._getvalue())  # noqa: SLF001 - numba's own way to a struct

    return array(array), code


@overload(borrowed)
def _borrowed(array):  # noqa: ARG001 - numba matches by the argument's name
    def implementation(array):
        return _uncounted(array)

    return implementation
