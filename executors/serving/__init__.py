"""Serves packaged models over the Open Inference Protocol v2, and swaps them under load."""

from __future__ import annotations

from executors.serving.client import HttpModelServer as HttpModelServer
