"""Train a net with hardware between its layers, in another process. In this example the hardware is a function.

    python examples/instrument.py [EPOCHS]

As `python examples/instrument.py device`, this file runs the hardware. docs/instruments.md explains both sides.
"""

import sys
from typing import Any

import torch

import twofold

LIGHT, DETECTORS = 200, 300


def scatter(light: torch.Tensor, number: int) -> torch.Tensor:
    """Simulate a diffuser and a camera: light in, intensities out. The training code does not know this function."""
    generator = torch.Generator().manual_seed(1)
    through = torch.randn(2, LIGHT, DETECTORS, generator=generator) / LIGHT**0.5
    intensity = (light @ through[0]) ** 2 + (light @ through[1]) ** 2
    noise = torch.randn(intensity.shape, generator=generator.manual_seed(number))  # seeded with the request number
    return (intensity + 0.05 * noise).clamp(0, 4)  # the camera saturates


def show(metrics: dict[str, Any]) -> None:
    print(f"epoch {metrics['epoch']}: train error {100 * metrics['train_error']:.2f} %", flush=True)


def learn(epochs: int) -> dict[str, float]:
    digits = twofold.load_data("digits")
    torch.manual_seed(0)
    instrument = twofold.Instrument([sys.executable, __file__, "device"])  # or Instrument("tcp://127.0.0.1:5555")
    layers = [
        twofold.Dense(digits.classes + 64, LIGHT),
        twofold.BlackBox(instrument),
        twofold.Dense(DETECTORS, 200),
    ]
    net = twofold.FeedForward(layers, digits.classes, counted_from=1)
    twofold.fit(net, *digits.train, epochs=epochs, on_epoch=show)
    error = twofold.evaluate(net, *digits.test).error
    print(f"{int(instrument.requests)} requests to {instrument.description.name}")
    instrument.close()
    return error


if __name__ == "__main__":
    if sys.argv[1:] == ["device"]:
        twofold.serve(scatter, LIGHT, DETECTORS, repeatable=True)
    else:
        print("test error", learn(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
