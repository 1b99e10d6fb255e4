"""Every part of numba-cuda that is not public and that the backend or its tests lean on, by name.

A new version may take any of them away: this says which, before a kernel does.
"""

from __future__ import annotations

import inspect

import pytest

from rnnbench.backends.cuda import toolkit

pytest.importorskip(
    "numba_cuda", reason="numba-cuda is not installed; python -m pip install 'rnnbench[cuda13]' runs these tests"
)
if toolkit.simulating():
    pytest.skip("numba-cuda was imported as its simulator", allow_module_level=True)


def test_numba_cuda_takes_the_place_of_the_built_in_target() -> None:
    from numba import cuda

    assert cuda.implementation == "NVIDIA"


def test_launches_are_cooperative_where_the_code_asks_for_the_grid() -> None:
    from numba.cuda import cg, dispatcher

    assert "use_cooperative = True" in inspect.getsource(cg)
    assert "self.cooperative = lib.use_cooperative" in inspect.getsource(dispatcher._Kernel)


def test_shared_memory_above_48_kib_can_be_asked_for() -> None:
    from cuda.bindings import driver as binding
    from numba.cuda import codegen, dispatcher
    from numba.cuda.cudadrv import driver

    assert "self._codelibrary = lib" in inspect.getsource(dispatcher._Kernel)
    assert callable(codegen.CUDACodeLibrary.get_cufunc)
    assert "handle" in driver.CudaPythonFunction.__slots__
    assert isinstance(driver.CudaPythonFunction.device, property)
    assert callable(binding.cuKernelSetAttribute)
    assert binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    assert callable(driver.device_memset)
    for name in ("MULTIPROCESSOR_COUNT", "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN", "L2_CACHE_SIZE", "CLOCK_RATE"):
        assert hasattr(binding.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")


def test_intrinsics_can_write_llvm_code() -> None:
    from numba.cuda import cudadecl, types
    from numba.cuda.extending import intrinsic

    assert callable(intrinsic)
    assert types.Array(types.float32, 1, "C").layout == "C"
    assert cudadecl.registry


def test_kernels_can_be_compiled_without_a_driver() -> None:
    from numba.cuda import codegen, dispatcher
    from numba.cuda.cudadrv import devices

    assert callable(devices._runtime.get_or_create_context)
    assert callable(dispatcher._Kernel.bind)
    assert callable(codegen.CUDACodeLibrary.get_cubin)
    assert callable(dispatcher.CUDADispatcher.compile)


def test_compiled_kernels_can_be_stored() -> None:
    from numba.cuda import dispatcher, serialize

    assert callable(serialize.dumps)
    assert callable(dispatcher._Kernel._reduce_states)
    assert callable(dispatcher._Kernel._rebuild)
    assert callable(dispatcher.CUDADispatcher.add_overload)


def test_the_drivers_version_can_be_asked_for() -> None:
    from cuda.bindings import driver

    assert callable(driver.cuDriverGetVersion)


def test_memory_can_be_given_back_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is looked at whenever more is let go, which is what bounds it."""
    from numba import cuda
    from numba.cuda.cudadrv import driver

    monkeypatch.setattr(driver, "_logger", driver.make_logger(), raising=False)  # else made with the driver
    assert callable(cuda.defer_cleanup)
    given_back: list[int] = []
    waiting = driver._PendingDeallocs(capacity=1000)
    with waiting.disable():
        for handle in range(50):
            waiting.add_item(given_back.append, handle, 1)
        assert not given_back
    waiting.add_item(given_back.append, 50, 1)
    assert given_back == list(range(51))
