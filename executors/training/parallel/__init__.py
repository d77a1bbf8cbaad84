"""Synchronous data-parallel training of any world size (extra `torch`).

`recipe` is what a user's function returns; `launch` starts torchrun; `worker` is what torchrun
starts; `loop` trains; `optimisers`, `schedules` and `batches` are for large batches; `checkpoints`
survive a kill and a changed world size; `prediction` says whether more workers pay.
"""
