"""A page that counts its visits in PostgreSQL and in Redis, and says which of several it is."""
import http.server
import json
import os
import socket

import psycopg2
import redis


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with psycopg2.connect(host="db", user="postgres", dbname="postgres", connect_timeout=10) as database, database.cursor() as cursor:
            cursor.execute("INSERT INTO visits DEFAULT VALUES; SELECT count(*) FROM visits")
            stored = cursor.fetchone()[0]
        database.close()
        cached = redis.Redis(host="cache", socket_timeout=10).incr("visits")
        body = json.dumps({"stored": stored, "cached": cached, "by": socket.gethostname(), "to": os.environ.get("GREETED", ""),
                           "client": self.headers.get("X-Real-IP")}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("", 8000), Page).serve_forever()
