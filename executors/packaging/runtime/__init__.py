"""What runs inside an image: `serve.py`, one file that needs nothing of Berth.

It stands in every image beside the model's own libraries, so that a model keeps to the versions it
was made with. The engine's own model server is `executors.serving`; both speak the same protocol.
"""
