"""What `compile_kernels` leaves to compile later would stall a worker's first polls."""

from numba.core.dispatcher import Dispatcher

from streams.ingest import admission, compile_kernels, prefixes, record_set, scan, series


def test_every_kernel_that_python_calls_is_compiled() -> None:
    compile_kernels()
    called = [
        admission._admit,
        prefixes._relink,
        record_set._find_records,
        scan._scan,
        scan._learn,
        series._link_all,
    ]
    for kernel in called:
        assert isinstance(kernel, Dispatcher)
        assert kernel.signatures, kernel.__name__
