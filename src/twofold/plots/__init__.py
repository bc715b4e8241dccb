"""Functions that draw measured values into PNG files.

They know nothing of nets or training: the caller measures first and passes the measured values.
"""
