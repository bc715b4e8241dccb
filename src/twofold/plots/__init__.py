"""Pictures: functions that turn tensors and figures into PNG files.

They know no nets and no training: whoever draws measures first, and hands over what was measured.
"""
