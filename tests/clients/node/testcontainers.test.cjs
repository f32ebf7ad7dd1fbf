// testcontainers for Node.js: waiting in every way, networks, exec, copies, images from Dockerfiles.
const assert = require("node:assert/strict");
const fs = require("node:fs/promises");
const os = require("node:os");
const path = require("node:path");
const { buffer, text } = require("node:stream/consumers");
const { once } = require("node:events");
const { test } = require("node:test");
const tar = require("tar-stream");
const { GenericContainer, Network, PullPolicy, Wait } = require("testcontainers");

const sleeper = (script) => new GenericContainer("busybox").withCommand(["sh", "-c", `${script}; exec sleep 1000`]).withDefaultLogDriver();

async function unpacked(stream) {
    const files = {};
    const extract = tar.extract();
    stream.pipe(extract);
    for await (const entry of extract) files[entry.header.name] = [entry.header.mode.toString(8), String(await buffer(entry))];
    return files;
}

test("waits for the log", async () => {
    const lines = [];
    const consumer = (stream) => stream.on("data", (line) => lines.push(String(line)));
    await using container = await sleeper("echo one; echo ready >&2; echo ready")
        .withWaitStrategy(Wait.forLogMessage(/ready/, 2)).withLogConsumer(consumer).start();
    const logs = await container.logs({ tail: 1 });
    const [last] = await once(logs, "data");
    assert.match(String(last), /ready\n/);
    logs.destroy();
    assert.ok(lines.join("").includes("one"));
});

test("a container that ends is an error", async () => {
    const failing = new GenericContainer("busybox").withCommand(["sh", "-c", "echo bad; exit 3"]).withWaitStrategy(Wait.forLogMessage("never"));
    await assert.rejects(failing.start(), /never/);
    const short = await new GenericContainer("busybox").withCommand(["true"]).withWaitStrategy(Wait.forOneShotStartup()).start();
    await short.stop();
});

test("waits for health, a command, ports and pages", async () => {
    const healthCheck = { test: ["CMD-SHELL", "test -e /www/index.html"], interval: 100, retries: 100, timeout: 5000 };
    const page = Wait.forHttp("/", 8000).forStatusCode(200).forResponsePredicate((body) => body === "page\n");
    await using container = await new GenericContainer("busybox").withHealthCheck(healthCheck).withExposedPorts(8000, "53/udp")
        .withCommand(["sh", "-c", "mkdir /www; echo page > /www/index.html; exec httpd -f -p 8000 -h /www"])
        .withWaitStrategy(Wait.forAll([Wait.forHealthCheck(), Wait.forSuccessfulCommand("test -d /www"), page])).start();
    const answer = await fetch(`http://${container.getHost()}:${container.getMappedPort(8000)}/`);
    assert.equal(await answer.text(), "page\n");
    assert.ok(container.getMappedPort("53/udp") > 0);
});

test("waits for listening ports by itself", async () => {
    await using container = await new GenericContainer("busybox").withExposedPorts(9000).withCommand(["httpd", "-f", "-p", "9000"]).start();
    assert.ok(container.getFirstMappedPort() > 0);
});

test("containers of a network find each other", async () => {
    await using network = await new Network().start();
    await using teller = await sleeper("true").withNetwork(network).withNetworkAliases("teller").withHostname("host7").start();
    await using asker = await sleeper("true").withNetwork(network).withExtraHosts([{ host: "other", ipAddress: "10.1.2.3" }]).start();
    const { exitCode, output } = await asker.exec(["sh", "-c", "ping -c 1 teller && grep other /etc/hosts"]);
    assert.equal(exitCode, 0, output);
    assert.ok(output.includes(teller.getIpAddress(network.getName())) && output.includes("10.1.2.3\tother"));
    assert.equal((await teller.exec("hostname")).stdout, "host7\n");
    assert.ok(teller.getNetworkNames().includes(network.getName()));
});

test("exec separates the streams", async () => {
    await using container = await sleeper("true").withEnvironment({ FROM: "start" }).withUser("1000").withWorkingDir("/tmp").start();
    const done = await container.exec(["sh", "-c", "echo $FROM $WORD; echo err >&2; pwd; id -u; exit 5"], { env: { WORD: "exec" }, user: "2000", workingDir: "/home" });
    assert.deepEqual([done.exitCode, done.stdout, done.stderr], [5, "start exec\n/home\n2000\n", "err\n"]);
    const large = await container.exec(["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; id -u; pwd"]);
    assert.equal(large.stdout, "x".repeat(1000000) + "1000\n/tmp\n");
});

test("copies in and out", async () => {
    const folder = await fs.mkdtemp(path.join(os.tmpdir(), "copied-"));
    await fs.writeFile(path.join(folder, "file"), "from a folder");
    await using container = await sleeper("cat /early").withCopyContentToContainer([{ content: "early\n", target: "/early", mode: 0o600 }])
        .withCopyDirectoriesToContainer([{ source: folder, target: "/folder" }]).withWaitStrategy(Wait.forLogMessage("early")).start();
    await container.copyFilesToContainer([{ source: path.join(folder, "file"), target: "/later/file", mode: 0o711 }]);
    await container.copyContentToContainer([{ content: Buffer.from("bytes"), target: "/later/bytes" }]);
    const files = await unpacked(await container.copyArchiveFromContainer("/later"));
    assert.deepEqual(Object.keys(files).sort(), ["later/", "later/bytes", "later/file"]);
    assert.deepEqual(files["later/file"], ["711", "from a folder"]);
    assert.equal((await container.exec("cat /folder/file")).stdout, "from a folder");
    await fs.rm(folder, { recursive: true });
});

test("builds a Dockerfile", async () => {
    const folder = await fs.mkdtemp(path.join(os.tmpdir(), "context-"));
    await fs.writeFile(path.join(folder, "Dockerfile"), "FROM busybox AS first\nARG WORD\nRUN echo $WORD > /word\nFROM first AS second\nCMD cat /word && exec sleep 1000\n");
    const builder = GenericContainer.fromDockerfile(folder).withBuildArgs({ WORD: "given" }).withTarget("second").withCache(false);
    const image = await builder.build("built:here");
    await using container = await image.withWaitStrategy(Wait.forLogMessage("given")).withPullPolicy(PullPolicy.defaultPolicy()).start();
    assert.equal((await container.exec("cat /word")).stdout, "given\n");
    await fs.rm(folder, { recursive: true });
});

test("limits, commits, restarts and stops", async () => {
    const started = await sleeper("echo up").withResourcesQuota({ memory: 0.0625, cpu: 0.5 }).withTmpFs({ "/small": "size=1m" }).withAutoRemove(false)
        .withUlimits({ nofile: { hard: 300, soft: 200 } }).withSharedMemorySize(8 << 20).withLabels({ made: "here" }).withWaitStrategy(Wait.forLogMessage("up")).start();
    const limits = await started.exec(["sh", "-c", "ulimit -n; mount | grep -c /small; echo mark > /mark"]);
    assert.equal(limits.stdout, "200\n1\n");
    await started.restart({ timeout: 0 });
    assert.equal((await started.exec("cat /mark")).stdout, "mark\n");
    const image = await started.commit({ repo: "committed", tag: "here", changes: ["ENV ADDED=yes"], deleteOnExit: false });
    assert.match(image, /^sha256:[0-9a-f]{64}$/);
    assert.equal(started.getLabels().made, "here");
    const stopped = await started.stop({ remove: false, timeout: 0 });
    assert.equal(String((await unpacked(await stopped.copyArchiveFromContainer("/mark"))).mark[1]), "mark\n");
});
