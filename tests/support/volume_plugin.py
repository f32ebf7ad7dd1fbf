"""A volume plugin over Docker's protocol, on a socket in /run/docker/plugins: directories that it "mounts" and counts.
Runs as a program of its own: volume_plugin.py SOCKET ROOT [SCOPE [CERTIFICATES]]. What it was asked is in ROOT/calls, one line each.
With a folder of certificates it is at a port of localhost, which is in the file that SOCKET names, for clients of the same authority."""
import http.server
import json
import os
import pathlib
import shutil
import socketserver
import ssl
import sys


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root = None
    scope = "local"

    def address_string(self):
        return "engine"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = json.loads(body or b"{}")
        method = self.path.lstrip("/")
        with open(self.root / "calls", "a") as calls:
            calls.write(json.dumps([method, asked]) + "\n")
        try:
            answer = self.answer(method, asked)
        except (OSError, KeyError, ValueError) as error:
            answer = {"Err": str(error)}
        status = 500 if answer.get("Err", "").startswith("status 500") else 200
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.2+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def place(self, name):
        if "/" in name:
            raise ValueError("bad name")
        return self.root / "volumes" / name

    def volume(self, name):
        if not self.place(name).exists():
            raise ValueError(f"volume {name} does not exist")
        users = self.place(name) / "users"
        return {"Name": name, "Mountpoint": str(self.place(name) / "data") if list(users.iterdir()) else "",
                "CreatedAt": "2024-05-06T07:08:09Z", "Status": {"users": len(list(users.iterdir()))}}

    def answer(self, method, asked):
        name = asked.get("Name", "")
        if method == "Plugin.Activate":
            return {"Implements": ["VolumeDriver"]}
        if method == "VolumeDriver.Capabilities":
            return {"Capabilities": {"Scope": self.scope}}
        if method == "VolumeDriver.Create":
            if (asked.get("Opts") or {}).get("fail"):
                return {"Err": asked["Opts"]["fail"]}
            for part in ("data", "users"):
                (self.place(name) / part).mkdir(parents=True, exist_ok=True)
            return {"Err": ""}
        if method == "VolumeDriver.List":
            return {"Volumes": [self.volume(entry) for entry in sorted(os.listdir(self.root / "volumes"))], "Err": ""}
        if method == "VolumeDriver.Get":
            return {"Volume": self.volume(name), "Err": ""}
        if method == "VolumeDriver.Path":
            return {"Mountpoint": self.volume(name)["Mountpoint"], "Err": ""}
        if method == "VolumeDriver.Mount":
            self.volume(name)
            (self.place(name) / "users" / asked["ID"]).touch()
            return {"Mountpoint": str(self.place(name) / "data"), "Err": ""}
        if method == "VolumeDriver.Unmount":
            (self.place(name) / "users" / asked["ID"]).unlink()
            return {"Err": ""}
        if method == "VolumeDriver.Remove":
            self.volume(name)
            shutil.rmtree(self.place(name))
            return {"Err": ""}
        return {"Err": f"unknown method {method}"}


def serve_tls(port_file, certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        unfinished = port_file.with_suffix(".new")
        unfinished.write_text(str(server.server_address[1]))
        unfinished.rename(port_file)
        server.serve_forever()


def main():
    socket, Handler.root = sys.argv[1], pathlib.Path(sys.argv[2])
    Handler.scope = sys.argv[3] if len(sys.argv) > 3 else "local"
    (Handler.root / "volumes").mkdir(parents=True, exist_ok=True)
    pathlib.Path(socket).parent.mkdir(parents=True, exist_ok=True)
    if len(sys.argv) > 4:
        serve_tls(pathlib.Path(socket), pathlib.Path(sys.argv[4]))
    pathlib.Path(socket).unlink(missing_ok=True)
    with Server(socket, Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
