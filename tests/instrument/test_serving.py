"""The hardware's end of the wire, and trainings whose instrument is killed.

Oracle: the protocol as docs/instruments.md has it, and the same training undisturbed.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from support.helpers import refusal
from support.peers import INPUTS, UNITS, piped, process, served
from support.runs import train
from twofold import BlackBox, Dense, FeedForward, load_data
from twofold.cli.main import main
from twofold.errors import DeviceError, Remark, SettingError
from twofold.instrument import DEVICES, Instrument, Simulated, serve
from twofold.instrument.messages import pack
from twofold.instrument.wire import Wire, connect
from twofold.methods import METHODS
from twofold.methods.feedforward import ForwardForward
from twofold.recipes import RECIPES

BATCH = torch.rand(4, INPUTS)


def half(rows: Tensor) -> Tensor:
    assert not torch.is_grad_enabled()
    return rows[:, :UNITS] / 2


def test_a_function_answers_from_another_thread_as_it_does_in_this_one() -> None:
    with torch.no_grad():
        instrument = Instrument(served(half))
        assert torch.equal(instrument(BATCH), half(BATCH))
        assert instrument.description == ("half", INPUTS, UNITS, False)
        instrument.close()


def seated(address: str) -> Wire:
    """A client that has the instrument."""
    wire = connect(address, 5)
    wire.send(pack("describe", 0), 5)
    assert wire.receive(5).kind == "description"
    return wire


def test_a_second_client_is_refused_until_the_first_has_gone_and_a_lost_one_is_let_in() -> None:
    address = served(half)
    second = Instrument(address)
    with closing(seated(address)) as first:
        for number in (1, 2):
            assert "it has another client" in refusal(lambda: second(BATCH), DeviceError)
            first.send(pack("batch", number, BATCH), 5)
            assert first.receive(5).number == number
    second(BATCH)
    second._wires[0].end.close()  # lost, without a word
    second._wires.clear()
    second(BATCH)
    silent = socket.create_connection(("127.0.0.1", int(address.split(":")[2])))  # it knocks and says nothing
    second(BATCH)
    silent.close()
    second.close()


def test_in_one_process_the_newest_instrument_has_the_seat() -> None:
    """A net whose training is over, and which nobody has deleted, would else keep out the next one."""
    address = served(half)
    older, newer = Instrument(address), Instrument(address)
    for one in (older, newer, older, older):
        assert one(BATCH).shape == (4, UNITS)
    assert not newer._wires
    older.close()


def test_a_seat_that_is_taken_for_a_moment_is_waited_for_by_a_client_that_was_lost() -> None:
    address = served(half)
    first = Instrument(address)
    first(BATCH)
    first.close()
    threading.Timer(0.2, seated(address).close).start()
    with pytest.warns(Remark, match="has another client"):
        first(BATCH)
    first.close()


FAULTS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "an exception": (lambda rows: 1 / 0, "an error: ZeroDivisionError: division by zero"),
    "another shape": (lambda rows: rows[:2], "an error: <lambda> returned the shape (2, 3) for 4 input rows"),
    "NaN": (lambda rows: half(rows) * torch.nan, "NaN, infinite or too large"),
    "words": (lambda rows: "on", "expected a tensor or an array"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_function_that_fails_is_told_and_asked_again(what: str) -> None:
    function, said = FAULTS[what]
    faulty = [True]
    instrument = Instrument(served(lambda rows: function(rows) if faulty[0] else half(rows)))
    assert said in refusal(lambda: instrument(BATCH), DeviceError)
    faulty[0] = False
    assert instrument(BATCH).shape == (4, UNITS)
    instrument.close()


ODD: dict[str, tuple[bytes, str]] = {
    "garbage": (b"GET / HTTP/1.1\r\n\r\n", "got garbage"),
    "another version": (pack("describe", 1).replace(b'"protocol":"1"', b'"protocol":"9"'), "got protocol version 9"),
    "another kind": (pack("explode", 1), "unknown kind of request 'explode'"),
    "no batch": (pack("batch", 1), "got garbage"),
    "other inputs": (pack("batch", 1, torch.ones(2, 7)), "the batch has 7 columns, expected 3"),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_requests_are_told_so_and_serving_goes_on(what: str) -> None:
    message, said = ODD[what]
    address = served(half)
    wire = connect(address, 5)
    wire.send(message, 5)
    answer = wire.receive(5)
    assert answer.kind == "error"
    assert said in answer.facts["reason"]
    wire.close()
    instrument = Instrument(address)
    instrument(BATCH)
    instrument.close()


def test_only_this_machine_is_served_and_a_port_in_use_is_named() -> None:
    for address in ("tcp://0.0.0.0:0", "tcp://example.org:5", "tcp://10.1.2.3:0"):
        assert "expected a local one" in refusal(lambda a=address: serve(half, 3, 2, a), SettingError)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(lambda: serve(half, 3, 2, f"tcp://127.0.0.1:{port}"), SettingError)
    assert f"port {port} is in use: end the process that uses it" in said


@pytest.mark.parametrize("device", DEVICES)
def test_a_simulated_instrument_draws_by_seed_and_number_alone(device: str) -> None:
    one, same, other = (Simulated(device, 30, 20, 0.3, 0.2, seed) for seed in (0, 0, 1))
    rows = torch.rand(5, 30)
    one(rows, 3)
    assert torch.equal(one(rows, 7), same(rows, 7))
    assert not torch.equal(one(rows, 7), one(rows, 8))
    assert not torch.equal(one(rows, 7), other(rows, 7))
    still = replace(one, noise=0.0)
    assert not torch.equal(still(rows, 1), still(rows, 4000)) or device == "one-bit"
    constant = replace(still, drift=0.0)
    assert torch.equal(constant(rows, 1), constant(rows, 4000))


def test_a_simulated_instrument_has_the_statistics_that_it_says() -> None:
    device, rows = Simulated("random-relu", 400, 300, 0.0), torch.randn(200, 400)
    total = rows @ device.matrix
    assert abs(total.std() - 1) < 0.05
    noisy = replace(device, noise=0.3)
    assert abs((noisy(rows, 1) - device(rows, 1))[total > 1.5].std() - 0.3) < 0.01
    drifting = replace(device, drift=0.2)
    gains = (drifting(rows, 5) / device(rows, 5))[total > 0]
    assert 0.79 < gains.min() < 0.81
    assert 1.19 < gains.max() < 1.21
    assert "did you mean 'one-bit'" in refusal(lambda: Simulated("one-bitt"), SettingError)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "twofold instrument needs a subcommand: use twofold instrument serve"),
        (["serv"], "twofold instrument needs a subcommand"),
        (["serve", "--device", "one-bitt"], "unknown device 'one-bitt': did you mean 'one-bit'?"),
        (["serve", "--port", "70000"], "--port is 70000, expected 0 to 65535"),
        (["serve", "--units", "0"], "units is 0, expected at least 1"),
        (["serve", "--noise", "-1"], "noise is -1.0, expected a finite number, 0 or more"),
    ],
)
def test_mistakes_at_the_command_are_told_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["instrument", *words]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


@pytest.mark.slow
def test_the_command_serves_until_it_is_ended_and_a_taken_port_is_one_line() -> None:
    with process("--inputs", "3", "--units", "2") as (server, port):
        instrument = Instrument(f"tcp://127.0.0.1:{port}")
        assert torch.equal(instrument(BATCH), Simulated("random-relu", 3, 2)(BATCH, 1))
        command = [sys.executable, "-m", "twofold", "instrument", "serve", "--port", str(port)]
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (second.returncode, second.stdout, second.stderr.count("\n")) == (1, "", 1)
        assert f"port {port} is in use" in second.stderr
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
        instrument.close()


CHATTY = """
import os, sys
from twofold.instrument import serve
def device(rows):
    print("measuring", flush=True)
    os.write(1, b"really")
    return rows[:, :2] / 2
serve(device, 3, 2)
"""


@pytest.mark.slow
def test_what_a_device_prints_does_not_get_into_the_pipe_and_the_process_ends_with_its_client() -> None:
    instrument = Instrument([sys.executable, "-c", CHATTY])
    assert torch.equal(instrument(BATCH), BATCH[:, :2] / 2)
    started = instrument._wires[0].process
    assert started is not None
    del instrument
    assert started.returncode == 0


# Trainings -----------------------------------------------------------------------------------------------------------

RECIPE = replace(RECIPES["digits"], widths=(30, 20), epochs=2, batch=100, tolerance=0.0, revisit=1.0)


def learn(folder: Path, address: Any, monkeypatch: pytest.MonkeyPatch, at_step: Callable[[int], None]) -> bytes:
    """The weights after a training on the digits through an instrument of 30 inputs and 25 units."""

    class Boxed(ForwardForward):
        @classmethod
        def build(cls, recipe: Any, form: Any, place: Any = list) -> FeedForward:
            generator = torch.Generator().manual_seed(0)
            box = BlackBox(Instrument(address, timeout=5, patience=60))
            return FeedForward([Dense(74, 30, generator=generator), box, Dense(25, 20, generator=generator)], 10)

        def step(self, batch: Any, progress: float) -> Tensor:
            at_step(self.batches_seen)
            return super().step(batch, progress)

    monkeypatch.setitem(METHODS, "forward-forward", Boxed)
    train(RECIPE, folder, load_data("digits"))
    return (folder / "weights.safetensors").read_bytes()


WORDS = ("--inputs", "30", "--units", "25", "--noise", "0.2", "--drift", "0.3")


@pytest.mark.slow
def test_a_training_whose_server_is_killed_and_started_again_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with process(*WORDS) as (server, port):
        address, rest = f"tcp://127.0.0.1:{port}", []
        whole = learn(tmp_path / "whole", address, monkeypatch, lambda step: None)

        def kill(step: int) -> None:
            if step == 17:  # of 2 x 15
                server.kill()
                server.wait()
                rest.append(process(*WORDS, port=port))
                threading.Timer(0.3, rest[0].__enter__).start()

        with pytest.warns(Remark, match="does not answer .* retrying$") as said:
            killed = learn(tmp_path / "killed", address, monkeypatch, kill)
        rest[0].__exit__(None, None, None)
    assert len(said) == 1
    assert killed == whole


@pytest.mark.slow
def test_a_training_whose_process_is_killed_starts_it_again_and_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wires: list[Wire] = []
    monkeypatch.setattr("twofold.instrument.client.connect", lambda *where: wires.append(connect(*where)) or wires[-1])
    whole = learn(tmp_path / "whole", piped(*WORDS), monkeypatch, lambda step: None)

    def kill(step: int) -> None:
        if step in (3, 20):
            started = wires[-1].process
            assert started is not None
            started.kill()
            time.sleep(0.1)

    with pytest.warns(Remark, match="retrying$"):
        assert learn(tmp_path / "killed", piped(*WORDS), monkeypatch, kill) == whole
    assert len(wires) == 4
