"""The gateway: one address for all models, wherever they serve now.

`table` knows where each model serves, `upstream` asks a server, `gateway` is the application, and
`process` runs it. The engine moves models among clusters; who asks the gateway does not notice.
"""
