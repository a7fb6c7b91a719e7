"""ONNX Runtime on the processor, with as many threads as this process is meant to use."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def session(model: Path | bytes) -> "InferenceSession":
    """A session on the processor; OMP_NUM_THREADS threads (the engine sets 1 in its workers), else one per core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count() or 1
    options.inter_op_num_threads = 1
    # Waiting threads that spin take the other workers' cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"])
