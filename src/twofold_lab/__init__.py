"""The laboratory: claims of the talk as experiments, and benchmarks of speed and memory.

record = ledger.run("hard-neg", "smoke")
benchmarks.run("epoch", benchmarks.find("epoch")(), Workbench(device, precision), Path("runs/bench"))
"""
