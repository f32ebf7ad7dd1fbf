"""What `features` says: callers look for what both runc and crun tell, of the same kind."""
import json

from test_comparison import RUNTIMES


def kinds(value, path=""):
    """Path of each key to the kind of its value."""
    if not isinstance(value, dict):
        return {path: type(value).__name__}
    found = {}
    for key, entry in value.items():
        # The names of annotations are the runtime's own.
        found.update(kinds(entry, f"{path}/{key}") if key != "annotations" else {f"{path}/{key}": "dict"})
    return found


def test_features_have_the_same_keys_and_kinds(peers):
    told = {name: json.loads(peers.run(runtime, "features").stdout) for name, runtime in RUNTIMES.items()}
    runc, crun, berth = (kinds(told[name]) for name in ("runc", "crun", "berth"))
    optional = {"/annotations", "/potentiallyUnsafeConfigAnnotations"}
    assert {key for key in runc.keys() & crun.keys() if key not in berth} - optional == set()
    assert {key: kind for key, kind in berth.items() if runc.get(key, crun.get(key, kind)) != kind} == {}
    for path in (["hooks"], ["linux", "seccomp", "operators"]):
        values = [set(reached(told[name], path)) for name in ("runc", "berth")]
        assert values[0] == values[1], path
    # Nothing is promised that nobody else knows.
    for path in (["linux", "namespaces"], ["linux", "capabilities"], ["linux", "seccomp", "actions"], ["mountOptions"]):
        known = set(reached(told["runc"], path)) | set(reached(told["crun"], path))
        assert set(reached(told["berth"], path)) <= known | {"idmap", "ridmap"}, path
    assert told["berth"]["ociVersionMin"] == told["runc"]["ociVersionMin"]


def reached(value, path):
    for key in path:
        value = value.get(key, [])
    return value
