"""Smaller and faster networks within a budget of quality (extra `torch`).

`chains` reads a network as a row of layers; `operations` counts; `pruning` removes channels;
`low_rank` splits layers in two; `export` writes ONNX; `quantising` makes it 8 bits wide;
`compressing` tries them in turn and keeps what stays within the budget.
"""
