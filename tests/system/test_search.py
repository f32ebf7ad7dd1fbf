"""docker search against an index of version 1 of the registry's API, as Docker Hub has one."""
import base64
import http.server
import json
import threading
import urllib.parse

import pytest

RESULTS = [
    {"name": "tools/compiler", "description": "compiles", "star_count": 50, "is_official": True, "is_automated": True, "pull_count": 5},
    {"name": "tools/linker", "description": "", "star_count": 7, "is_official": False, "is_automated": False},
]


class Index(http.server.BaseHTTPRequestHandler):
    seen = []
    answer = (200, json.dumps({"num_results": 2, "query": "tools", "results": RESULTS}))

    def do_GET(self):
        Index.seen.append((self.path, self.headers.get("Authorization")))
        status, text = Index.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def index():
    Index.seen, Index.answer = [], (200, json.dumps({"results": RESULTS}))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def search(engine, term, query="", headers=None):
    return engine.request("GET", f"/images/search?term={urllib.parse.quote(term)}{query}", headers=headers)


def test_results_are_the_index_s(engine, index):
    status, found = search(engine, f"{index}/tools", "&limit=30")
    assert status == 200, found
    # Nothing is automated any more, whatever an index says.
    assert found == [{"name": result["name"], "description": result["description"], "star_count": result["star_count"],
                      "is_official": result["is_official"], "is_automated": False} for result in RESULTS]
    assert Index.seen[-1] == ("/v1/search?q=tools&n=30", None)
    assert search(engine, f"{index}/a b")[0] == 200
    assert Index.seen[-1][0] in ("/v1/search?q=a%20b&n=25", "/v1/search?q=a+b&n=25")


def test_filters_choose_among_them(engine, index):
    def names(**filters):
        status, found = search(engine, f"{index}/tools", "&filters=" + urllib.parse.quote(json.dumps(filters)))
        assert status == 200, found
        return [result["name"] for result in found]

    assert names(stars=["8"]) == ["tools/compiler"] and names(stars=["8", "51"]) == []
    assert names(**{"is-official": ["true"]}) == ["tools/compiler"]
    assert names(**{"is-official": ["false"]}) == ["tools/linker"]
    assert names(**{"is-automated": ["true"]}) == [] and len(names(**{"is-automated": ["false"]})) == 2


def test_credentials_go_along(engine, index):
    auth = base64.urlsafe_b64encode(json.dumps({"username": "me", "password": "secret"}).encode()).decode()
    assert search(engine, f"{index}/tools", headers={"X-Registry-Auth": auth})[0] == 200
    assert Index.seen[-1][1] == "Basic " + base64.b64encode(b"me:secret").decode()


def test_an_index_that_fails_is_told_of(engine, index):
    for answer, words in (((404, "none"), "unexpected status code 404"), ((200, "no JSON"), "error decoding registry search results"),
                          ((200, '{"results": 7}'), "results: expected an array")):
        Index.answer = answer
        status, document = search(engine, f"{index}/tools")
        assert status == 500 and words in document["message"], document
    status, document = search(engine, "127.0.0.1:1/x")
    assert status == 500 and "connection refused" in document["message"], document


def test_mistakes_are_refused_before_anybody_is_asked(engine, index):
    for term, query in ((f"http://{index}/x", ""), (f"{index}/x", "&limit=x"), (f"{index}/x", "&limit=-1"), (f"{index}/x", "&limit=101"),
                        (f"{index}/x", "&filters={\"nosuch\":[\"x\"]}"), (f"{index}/x", "&filters={\"stars\":[\"x\"]}"),
                        (f"{index}/x", "&filters={\"is-official\":[\"x\"]}")):
        status, document = search(engine, term, query.replace('"', "%22"))
        assert status == 400, document
    assert Index.seen == []


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_clients_print_them(engine, index, client):
    done = getattr(engine, client)("search", "--no-trunc", "--filter", "stars=8", f"{index}/tools")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][:3] == ["NAME", "DESCRIPTION", "STARS"]
    assert lines[1][:3] == ["tools/compiler", "compiles", "50"] and "[OK]" in lines[1]
