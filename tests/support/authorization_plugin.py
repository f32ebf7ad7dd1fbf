"""An authorization plugin over Docker's protocol, on a socket in /run/docker/plugins.
Runs as a program of its own: authorization_plugin.py SOCKET ROOT. What it was asked is in ROOT/calls, one line each; it
refuses what has one of the words of ROOT/refused (a line each) in its method, address or decoded bodies."""
import base64
import http.server
import json
import pathlib
import socketserver
import sys


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root = None

    def address_string(self):
        return "engine"

    def log_message(self, *_):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        method = self.path.lstrip("/")
        if method == "Plugin.Activate":
            answer = {"Implements": ["authz"]}
        else:
            with open(self.root / "calls", "a") as calls:
                calls.write(json.dumps([method, asked]) + "\n")
            answer = self.judge(method, asked)
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.2+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def judge(self, method, asked):
        refused = self.root / "refused"
        words = refused.read_text().split("\n") if refused.exists() else []
        kind = "Request" if method == "AuthZPlugin.AuthZReq" else "Response"
        body = base64.b64decode(asked.get(kind + "Body", "")).decode(errors="replace")
        told = f"{method} {asked['RequestMethod']} {asked['RequestUri']} {body}"
        for word in words:
            if word and word in told:
                return {"Allow": False, "Msg": f"no {word} here"}
        return {"Allow": True}


if __name__ == "__main__":
    Handler.root = pathlib.Path(sys.argv[2])
    with Server(sys.argv[1], Handler) as server:
        print("ready", flush=True)
        server.serve_forever()
