"""TensorRT and TensorRT-RTX: one path over both, by what they can do and not by their versions.

    building.build_ahead    an engine for any GPU, without one (TensorRT-RTX)
    layers, findings        what is in it, and what is not as the graph hoped
    engine                  engines that run, on the GPU in this machine, and their times by
                            TensorRtEngine.measure
    cache                   engines that were built before

Only `memory`, `session` and `loop` need a GPU.
"""
