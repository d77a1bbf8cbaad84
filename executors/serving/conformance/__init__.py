"""A conformance suite of the Open Inference Protocol (V2), for any server of it.

The protocol's own repository has none. Subclass `rest_suite.RestSuite`, `rest_suite.BinarySuite`
and `grpc_suite.GrpcSuite`, give them the fixtures `address` and `sample`, and run pytest. The
suites share no code with the server but the messages of gRPC, which are built from the protocol.
"""
