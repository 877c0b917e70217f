"""How Numba compiles kernels and helpers: by its own steps, less those that they have no use for. Used by `jit` only.

Numba makes machine code of each helper too, which nobody runs, optimises a kernel three times, and finds out anew how
an operator is typed wherever there is one. Here a helper stays LLVM's intermediate code, a kernel is optimised once it
has all of its helpers in it, and what was found out is remembered.

All of this leans on Numba's inside: it is for the one series that it was written for, see `jit`.
"""

from contextlib import contextmanager
from typing import Any, ClassVar

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.typed_passes import (
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.types.functions import BaseFunction
from numba.core.untyped_passes import (
    FixupArgs,
    GenericRewrites,
    IRProcessing,
    ReconstructSSA,
    TranslateByteCode,
)


class _Whole(JITCodeLibrary):
    """The code of a kernel with its helpers."""

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self):
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)


class _Piece(JITCodeLibrary):
    """The code of a helper, which other code takes in: simplified, or octets that are read one by one stay so there."""

    def finalize(self):
        """Take in what this one calls."""
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True

    def get_pointer_to_function(self, _name):
        """None, as of each function without an entry for callers from Python."""
        return 0

    @property
    def codegen(self):
        """Who sets the environment of a function that Python calls."""
        return self

    def set_env(self, env_name, env):
        """There is nothing in memory to set it in."""


class _Lowering(NativeLowering):
    library: ClassVar[Any]

    def run_pass(self, state):
        state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return super().run_pass(state)


@register_pass(mutates_CFG=True, analysis_only=False)
class _KernelLowering(_Lowering):
    _name: Any = "kernel_lowering"
    library = _Whole


@register_pass(mutates_CFG=True, analysis_only=False)
class _HelperLowering(_Lowering):
    _name: Any = "helper_lowering"
    library = _Piece


class KernelCompiler(CompilerBase):
    """From bytecode to machine code; without closures, object mode, whole-array expressions and parallel loops."""

    lowering: ClassVar[Any] = _KernelLowering

    def define_pipelines(self):
        """The one pipeline."""
        steps = PassManager("kernel")
        for step in (
            TranslateByteCode,
            FixupArgs,
            IRProcessing,
            GenericRewrites,
            ReconstructSSA,
            NopythonTypeInference,
            PreLowerStripPhis,
            IRLegalization,
            self.lowering,
            NoPythonBackend,
        ):
            steps.add_pass(step, step.__name__)
        steps.finalize()
        return [steps]


class HelperCompiler(KernelCompiler):
    """From bytecode to LLVM's intermediate code."""

    lowering = _HelperLowering


_typed: dict[Any, Any] = {}


@contextmanager
def remembering():
    """Within, how an operator or a function of Numba's is typed for the same arguments is found out but once."""
    ask = BaseFunction.get_call_type

    def get_call_type(self, context, args, kws):
        question = self, args, tuple(sorted(kws.items()))
        if question not in _typed:
            signature = ask(self, context, args, kws)
            _typed[question] = signature, self._impl_keys[signature.args]
        signature, self._impl_keys[signature.args] = _typed[question]
        return signature

    BaseFunction.get_call_type = get_call_type
    try:
        yield
    finally:
        BaseFunction.get_call_type = ask
