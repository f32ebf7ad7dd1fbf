// dockerode: streams, exec, events, archives, builds, pulls with progress. BERTH_REGISTRY is the address of a registry.
const assert = require("node:assert/strict");
const { buffer } = require("node:stream/consumers");
const { once } = require("node:events");
const { PassThrough } = require("node:stream");
const { after, test } = require("node:test");
const Docker = require("dockerode");
const tar = require("tar-stream");

const docker = new Docker();
const registry = process.env.BERTH_REGISTRY;

after(async () => assert.deepEqual(await docker.listContainers({ all: true }), []));

// Both halves of a multiplexed stream, when it has ended.
async function halves(stream) {
    const out = new PassThrough();
    const err = new PassThrough();
    docker.modem.demuxStream(stream, out, err);
    stream.on("end", () => [out, err].forEach((one) => one.end()));
    return (await Promise.all([buffer(out), buffer(err)])).map(String);
}

const progress = (stream, seen) =>
    new Promise((resolve, reject) => docker.modem.followProgress(stream, (error, lines) => (error ? reject(error) : resolve(lines)), seen));

async function host(options = {}) {
    const container = await docker.createContainer({ Image: "busybox", Cmd: ["cat"], OpenStdin: true, ...options });
    await container.start();
    return container;
}

function packed(files) {
    const pack = tar.pack();
    for (const [name, data] of Object.entries(files)) pack.entry({ name, mode: 0o640, mtime: new Date(1.5e12) }, data);
    pack.finalize();
    return pack;
}

test("run pipes the output and tells the exit code", async () => {
    const out = new PassThrough();
    const err = new PassThrough();
    const both = Promise.all([out, err].map(async (one) => String((await once(one, "data"))[0])));
    const [result, container] = await docker.run("busybox", ["sh", "-c", "echo out; echo err >&2; exit 6"], [out, err], { Tty: false });
    assert.equal(result.StatusCode, 6);
    assert.deepEqual(await both, ["out\n", "err\n"]);
    assert.equal((await container.inspect()).State.ExitCode, 6);
    await container.remove();
});

test("attach speaks both ways", async () => {
    const container = await docker.createContainer({
        Image: "busybox", Cmd: ["sh", "-c", "cat; echo closed >&2"], OpenStdin: true, StdinOnce: true, AttachStdin: true,
    });
    const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
    const both = halves(stream);
    const ended = container.wait({ condition: "next-exit" });
    await container.start();
    stream.write("a line\n");
    stream.end("the last");
    assert.deepEqual(await both, ["a line\nthe last", "closed\n"]);
    assert.deepEqual(await ended, { StatusCode: 0 });
    assert.equal(String((await container.logs({ stdout: true })).subarray(8, 14)), "a line");
    await container.remove();
});

test("logs are followed to the end", async () => {
    const container = await host({ Cmd: ["sh", "-c", "for i in 1 2 3; do echo $i; echo e$i >&2; done; cat"] });
    const stream = await container.logs({ follow: true, stdout: true, stderr: true });
    const both = halves(stream);
    let seen = 0;
    await new Promise((resolve) => stream.on("data", (data) => (seen += data.length) === 3 * (8 + 2) + 3 * (8 + 3) && resolve()));
    await container.kill();
    assert.deepEqual(await both, ["1\n2\n3\n", "e1\ne2\ne3\n"]);
    await container.remove();
});

test("exec hijacks, with and without a terminal", async () => {
    const container = await host();
    let exec = await container.exec({ Cmd: ["sh", "-c", "cat; echo err >&2; exit 4"], AttachStdin: true, AttachStdout: true, AttachStderr: true });
    let stream = await exec.start({ hijack: true, stdin: true });
    const both = halves(stream);
    stream.end("x".repeat(100000));
    assert.deepEqual(await both, ["x".repeat(100000), "err\n"]);
    assert.equal((await exec.inspect()).ExitCode, 4);
    exec = await container.exec({ Cmd: ["sh", "-c", "read line; stty size; echo $line"], AttachStdin: true, AttachStdout: true, Tty: true });
    stream = await exec.start({ hijack: true, stdin: true, Tty: true });
    await exec.resize({ h: 30, w: 99 });
    stream.write("typed\n");
    assert.equal(String(await buffer(stream)), "typed\r\n30 99\r\ntyped\r\n");
    exec = await container.exec({ Cmd: ["echo", "plain"], AttachStdout: true });
    assert.deepEqual(await halves(await exec.start({})), ["plain\n", ""]);
    await assert.rejects(docker.getExec("absent").inspect(), { statusCode: 404 });
    await container.remove({ force: true });
});

test("events arrive while they happen", async () => {
    const controller = new AbortController();
    const stream = await docker.getEvents({ filters: { type: ["container"], label: ["watched"] }, abortSignal: controller.signal });
    const seen = [];
    const destroyed = new Promise((resolve) => {
        let text = "";
        stream.on("error", () => {});
        stream.on("data", (data) => {
            const lines = (text + data).split("\n");
            text = lines.pop();
            for (const line of lines.filter(Boolean)) seen.push(JSON.parse(line));
            if (seen.at(-1)?.Action === "destroy") resolve();
        });
    });
    const [, container] = await docker.run("busybox", ["true"], new PassThrough(), { Labels: { watched: "" } });
    await container.remove();
    await destroyed;
    controller.abort();
    assert.deepEqual(seen.map((one) => one.Action), ["create", "attach", "start", "die", "destroy"]);
    assert.equal(seen[3].Actor.Attributes.exitCode, "0");
});

test("stats stream and are had once", async () => {
    const container = await host({ HostConfig: { Memory: 32 << 20 } });
    const stream = await container.stats({ stream: true });
    const [first] = await once(stream, "data");
    assert.equal(JSON.parse(first).memory_stats.limit, 32 << 20);
    stream.destroy();
    const single = await container.stats({ stream: false, "one-shot": true });
    assert.equal(single.id, container.id);
    assert.equal(single.pids_stats.current, 1);
    await container.remove({ force: true });
});

test("archives go in and come out", async () => {
    const container = await host();
    await container.putArchive(packed({ "one": "1", "two": "22" }), { path: "/tmp" });
    const info = await container.infoArchive({ path: "/tmp/two" });
    const stat = JSON.parse(Buffer.from(info.headers["x-docker-container-path-stat"], "base64"));
    assert.deepEqual([stat.name, stat.size, stat.mode], ["two", 2, 0o640]);
    const names = {};
    const extract = tar.extract();
    (await container.getArchive({ path: "/tmp" })).pipe(extract);
    for await (const entry of extract) names[entry.header.name] = String(await buffer(entry));
    assert.deepEqual(names, { "tmp/": "", "tmp/one": "1", "tmp/two": "22" });
    assert.deepEqual((await container.changes()).filter((one) => one.Kind === 1).map((one) => one.Path).sort(), ["/tmp/one", "/tmp/two"]);
    await assert.rejects(container.getArchive({ path: "/absent" }), { statusCode: 404 });
    await container.remove({ force: true });
});

test("builds from a tar", async () => {
    const Dockerfile = "FROM busybox\nARG WORD\nCOPY data /data\nRUN cat /data > /copy && echo $WORD >> /copy\nCMD [\"cat\", \"/copy\"]\n";
    const stream = await docker.buildImage(packed({ Dockerfile, data: "packed " }), { t: "node:v1", buildargs: { WORD: "given" } });
    const lines = await progress(stream);
    assert.equal(lines.at(-1).stream, "Successfully tagged node:v1\n");
    assert.match(lines.find((line) => line.aux).aux.ID, /^sha256:[0-9a-f]{64}$/);
    const out = new PassThrough();
    const said = once(out, "data");
    const [, container] = await docker.run("node:v1", [], out, { Tty: true });
    assert.equal(String((await said)[0]), "packed given\r\n");
    await container.remove();
    const failing = await docker.buildImage(packed({ Dockerfile: "FROM busybox\nRUN exit 9\n" }), {});
    assert.match((await progress(failing)).at(-1).errorDetail.message, /returned a non-zero code: 9/);
    await docker.getImage("node:v1").remove();
});

test("builds with BuildKit, without a session", async () => {
    const Dockerfile = "FROM busybox\nCOPY word /word\nRUN cat /word\n";
    const lines = await progress(await docker.buildImage(packed({ Dockerfile, word: "kit" }), { version: "2", t: "node:kit" }));
    const { aux, id } = lines.at(-1);
    assert.equal(id, "moby.image.id");
    assert.equal((await docker.getImage("node:kit").inspect()).Id, aux.ID);
    const failing = await docker.buildImage(packed({ Dockerfile: "FROM busybox\nRUN exit 9\n" }), { version: "2" });
    assert.match((await progress(failing)).at(-1).errorDetail.message, /exit code: 9|non-zero code: 9/);
    await assert.rejects(docker.buildImage(packed({ Dockerfile }), { version: "2", remote: "https://example.org/a.git" }), { statusCode: 501 });
    await docker.getImage("node:kit").remove();
});

test("builds a folder with its ignore file", async () => {
    const lines = await progress(await docker.buildImage({ context: process.env.BERTH_CONTEXT, src: ["Dockerfile", "kept", "other", ".dockerignore"] }, { t: "folder" }));
    assert.equal(lines.at(-1).stream, "Successfully tagged folder:latest\n");
    await docker.getImage("folder").remove();
});

test("pushes and pulls with progress", async () => {
    const name = `${registry}/node/box`;
    await docker.getImage("busybox").tag({ repo: name, tag: "v1" });
    const pushed = await progress(await docker.getImage(`${name}:v1`).push({ authconfig: { username: "any", password: "any", serveraddress: registry } }));
    const digest = pushed.find((line) => line.aux).aux.Digest;
    assert.match(digest, /^sha256:[0-9a-f]{64}$/);
    await docker.getImage(`${name}:v1`).remove();
    const seen = [];
    const pulled = await progress(await docker.pull(`${name}:v1`), (line) => seen.push(line));
    assert.deepEqual(seen, pulled);
    assert.equal(pulled[0].status, `Pulling from node/box`);
    assert.deepEqual(pulled.slice(-2).map((line) => line.status.split(" ")[0]), ["Digest:", "Status:"]);
    assert.equal((await docker.getImage(`${name}:v1`).distribution()).Descriptor.digest, digest);
    await assert.rejects(docker.pull(`${registry}/node/absent:v1`), (error) => [404, 500].includes(error.statusCode));
    await docker.getImage(`${name}:v1`).remove();
});

test("images are saved and loaded as streams", async () => {
    const image = docker.getImage("busybox");
    const { Id } = await image.inspect();
    await image.tag({ repo: "copied", tag: "x" });
    const data = await buffer(await docker.getImage("copied:x").get());
    await docker.getImage("copied:x").remove();
    const lines = await progress(await docker.loadImage(PassThrough.from(data)));
    assert.equal(lines.at(-1).stream, "Loaded image: copied:x\n");
    assert.equal((await docker.getImage("copied:x").inspect()).Id, Id);
    await docker.getImage("copied:x").remove();
});

test("networks, volumes and prunes", async () => {
    const network = await docker.createNetwork({ Name: "nodes", Internal: true, CheckDuplicate: true });
    const volume = await docker.createVolume({ Name: "stored", Labels: { from: "node" } });
    const container = await host({ HostConfig: { Binds: ["stored:/stored"] } });
    await network.connect({ Container: container.id, EndpointConfig: { Aliases: ["named"] } });
    assert.deepEqual(Object.keys((await network.inspect()).Containers), [container.id]);
    assert.deepEqual((await docker.listVolumes({ filters: { label: ["from=node"] } })).Volumes.map((one) => one.Name), ["stored"]);
    await assert.rejects(docker.getVolume("stored").remove(), { statusCode: 409 });
    await network.disconnect({ Container: container.id, Force: true });
    await container.remove({ force: true });
    assert.deepEqual((await docker.pruneNetworks()).NetworksDeleted, ["nodes"]);
    assert.equal((await volume.inspect()).Scope, "local");
    await volume.remove();
    const df = await docker.df();
    assert.equal(df.Volumes.length, 0);
    assert.deepEqual([String(await docker.ping()), (await docker.version()).Os], ["OK", "linux"]);
});
