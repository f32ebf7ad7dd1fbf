"""A DNS server of the outside world, for the tests of forwarding."""
import socket
import struct
import threading


class Nameserver:
    """Answers each question for an A record with one address, over UDP and TCP, and notes the names. A name with "big" in it
    has 60 addresses, which UDP cuts short."""

    def __init__(self, address, answer="9.8.7.6", port=53):
        self.answer = socket.inet_aton(answer)
        self.asked = []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for one in (self.udp, self.tcp):
            one.bind((address, port))
        self.tcp.listen()
        self.threads = [threading.Thread(target=self.serve_udp), threading.Thread(target=self.serve_tcp)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        address = self.udp.getsockname()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", address)
        with socket.create_connection(address):
            pass
        for thread in self.threads:
            thread.join()
        self.udp.close()
        self.tcp.close()

    def reply(self, query, by_tcp):
        end = 12
        labels = []
        while query[end]:
            labels.append(query[end + 1:end + 1 + query[end]].decode())
            end += 1 + query[end]
        question = query[12:end + 5]
        name = ".".join(labels)
        self.asked.append(name)
        wants_address = question[-4:-2] == b"\0\1"
        is_big = "big" in name
        count = (60 if is_big and by_tcp else 1) if wants_address else 0
        addresses = [self.answer[:3] + bytes([(self.answer[3] + number) % 256]) for number in range(count)]
        flags = 0x8180 | (0x200 if is_big and not by_tcp else 0)
        records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + address for address in addresses)
        return query[:2] + struct.pack(">HHHHH", flags, 1, count, 0, 0) + question + records

    def serve_udp(self):
        while True:
            query, peer = self.udp.recvfrom(4096)
            if not query:
                return
            self.udp.sendto(self.reply(query, False), peer)

    def serve_tcp(self):
        while True:
            connection, _ = self.tcp.accept()
            with connection:
                data = connection.recv(4096)
                if not data:
                    return
                reply = self.reply(data[2:], True)
                connection.sendall(struct.pack(">H", len(reply)) + reply)
