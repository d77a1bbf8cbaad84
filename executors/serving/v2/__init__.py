"""The Open Inference Protocol v2 (KServe's, with Triton's extensions) over REST and gRPC.

documents    JSON and binary bodies
compression  gzip and deflate with a limit
application  the ASGI application
routes       everything but inference
metrics      the page that Prometheus reads
messages     protobuf messages in a private pool
rpc          the gRPC service
"""
