"""Running models: find and verify the weights, hold a session, cut long inputs into chunks of bounded memory.

A system's weights are an ONNX graph whose inputs and outputs have names, beside a card that carries the
file's SHA-256, its licence and what it was trained on. Nothing is downloaded: weights are inside the package,
or a file that the user names.
"""
