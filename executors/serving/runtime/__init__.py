"""Models in memory: what runs them, in which process, in which batches, under which versions.

faults      what a request or a model can do wrong
tensors     typed tensors and their bytes
runners     the interface of a model, and how inputs are made to fit it
*_runner    ONNX Runtime, scikit-learn, torch, statsmodels
loading     a folder to a runner, proved by golden requests
hosted      a runner in a process of its own; `worker` is that process
batching    what is queued runs together
slots       versions of one model, routing among them, swap and rollback
shelf       all models of a server, with audit log
"""
