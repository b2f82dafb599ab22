"""A program for can-isotp 2: a gateway of four kinds of links. It runs unchanged with this package.

    python program.py [CAN interface] [--messages N]

It prints what each part received, then how many threads it took, and processor time and latency per message.
"""

import argparse
import queue
import threading
import time

import can

import isotp

REQUEST, REPLY = bytes(range(256)) * 4, b"\x62\xf1\x90WAUZZZ8K0AA000001"
errors = []


def address(number, swapped=False):
    ids = 0x600 + number, 0x700 + number
    return isotp.Address(isotp.AddressingMode.Normal_11bits, txid=ids[swapped], rxid=ids[not swapped])


def transfer(sender, receiver, data):
    sender.send(data)
    received = receiver.recv(block=True, timeout=5)
    assert received == data, f"{received!r} in place of {data!r}"


def stacks(messages):
    """Two CanStacks, one with blocking sends."""
    left, right = (can.Bus("program 1", interface="virtual") for _ in range(2))
    tester = isotp.CanStack(left, address=address(1), error_handler=errors.append, params={"blocking_send": True})
    ecu = isotp.CanStack(right, address=address(1, True), error_handler=errors.append, params={"blocksize": 16})
    return (tester, ecu), lambda: (left.shutdown(), right.shutdown())


def notified(messages):
    """Two NotifierBasedCanStacks, beside a listener that counts frames."""
    left, right = (can.Bus("program 2", interface="virtual") for _ in range(2))
    notifiers = [can.Notifier(bus, [lambda message: frames.append(message)], timeout=0.05) for bus in (left, right)]
    frames = []
    tester = isotp.NotifierBasedCanStack(left, notifiers[0], address=address(2), error_handler=errors.append)
    ecu = isotp.NotifierBasedCanStack(right, notifiers[1], address=address(2, True), error_handler=errors.append)

    def close():
        for notifier in notifiers:
            notifier.stop()
        left.shutdown(), right.shutdown()
        assert frames

    return (tester, ecu), close


def functions(messages):
    """Two TransportLayers over functions of one's own."""
    wires = queue.Queue(), queue.Queue()

    def rxfn(wire):
        def receive(timeout):
            try:
                return wire.get(timeout=timeout)
            except queue.Empty:
                return None

        return receive

    fixed = isotp.AddressingMode.NormalFixed_29bits
    one = isotp.Address(fixed, target_address=1, source_address=2)
    two = isotp.Address(fixed, target_address=2, source_address=1)
    params = {"tx_padding": 0xAA, "stmin": 0, "can_fd": True, "tx_data_length": 64}
    tester = isotp.TransportLayer(rxfn(wires[0]), wires[1].put, one, error_handler=errors.append, params=params)
    ecu = isotp.TransportLayer(rxfn(wires[1]), wires[0].put, two, error_handler=errors.append, params=params)
    return (tester, ecu), lambda: None


def logic():
    """A TransportLayerLogic that the program drives itself; it returns the frames that were sent."""
    wire, sent = queue.Queue(), []
    layer = isotp.TransportLayerLogic(
        lambda timeout: None if wire.empty() else wire.get(), sent.append, address(3), errors.append
    )
    layer.send((iter_bytes(20), 20))
    layer.process()
    for frame in (b"\x30\x00\x00", b"\x40"):
        wire.put(isotp.CanMessage(0x703, len(frame), frame))
        layer.process()
    return [message.data.hex() for message in sent], [type(error).__name__ for error in errors]


def iter_bytes(count):
    yield from range(count)


def sockets(interface):
    """Two kernel sockets."""
    tester, ecu = isotp.socket(timeout=5), isotp.socket(timeout=5)
    ecu.set_fc_opts(stmin=0, bs=8)
    tester.set_opts(txpad=0xAA)
    ecu.bind(interface, address(4, True))
    tester.bind(interface, address=address(4))
    tester.send(REQUEST)
    request = ecu.recv()
    ecu.send(REPLY)
    reply = tester.recv()
    tester.close(), ecu.close()
    return request == REQUEST, reply == REPLY


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("interface", nargs="?")
    parser.add_argument("--messages", type=int, default=20)
    options = parser.parse_args()
    for kind in (stacks, notified, functions):
        layers, close = kind(options.messages)
        for layer in layers:
            layer.start()
        threads, began, processor = threading.active_count() - 1, time.perf_counter(), time.process_time()
        for _ in range(options.messages):
            transfer(layers[0], layers[1], REQUEST)
            transfer(layers[1], layers[0], REPLY)
        took, processor = time.perf_counter() - began, time.process_time() - processor
        for layer in layers:
            layer.stop()
        close()
        each = 2 * options.messages
        print(f"{kind.__name__}: {each} messages, {len(errors)} errors", flush=True)
        print(f"# {kind.__name__} {threads} {processor / each:.9f} {took / each:.9f}", flush=True)
    print("logic:", *logic())
    if options.interface:
        print("sockets:", *sockets(options.interface))


main()
