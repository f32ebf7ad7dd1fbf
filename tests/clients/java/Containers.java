// testcontainers for Java: waiting, networks, exec, copies, images from Dockerfiles. Each public method is a test.
import java.io.ByteArrayOutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import org.testcontainers.DockerClientFactory;
import org.testcontainers.containers.ExecConfig;
import org.testcontainers.containers.GenericContainer;
import org.testcontainers.containers.Network;
import org.testcontainers.containers.output.OutputFrame.OutputType;
import org.testcontainers.containers.output.ToStringConsumer;
import org.testcontainers.containers.wait.strategy.Wait;
import org.testcontainers.images.builder.ImageFromDockerfile;
import org.testcontainers.images.builder.Transferable;
import org.testcontainers.utility.DockerImageName;

public final class Containers {
    private static final DockerImageName BUSYBOX = DockerImageName.parse("busybox");

    private static final class Box extends GenericContainer<Box> {
        Box(String script) {
            super(BUSYBOX);
            withCommand("sh", "-c", script + "; exec sleep 1000");
        }
    }

    private static void equal(Object got, Object wanted) {
        if (!got.equals(wanted)) throw new AssertionError("got " + got + ", wanted " + wanted);
    }

    public void waitsForTheLog() throws Exception {
        var follower = new ToStringConsumer();
        try (var box = new Box("echo one; echo ready >&2").waitingFor(Wait.forLogMessage(".*ready.*", 1)).withLogConsumer(follower)) {
            box.start();
            equal(box.getLogs(OutputType.STDOUT), "one\n");
            equal(box.getLogs(OutputType.STDERR), "ready\n");
            equal(follower.toUtf8String().contains("one\n"), true);
            equal(box.isRunning(), true);
        }
    }

    public void waitsForHealthAndPages() throws Exception {
        var serve = "mkdir /www; echo page > /www/index.html; exec httpd -f -p 8000 -h /www";
        try (var box = new Box(serve).withExposedPorts(8000).waitingFor(Wait.forHttp("/").forStatusCode(200).forResponsePredicate("page"::equals))) {
            box.start();
            try (var page = URI.create("http://" + box.getHost() + ":" + box.getMappedPort(8000)).toURL().openStream()) {
                equal(new String(page.readAllBytes(), StandardCharsets.UTF_8), "page\n");
            }
        }
        var image = new ImageFromDockerfile().withFileFromString("Dockerfile", "FROM busybox\nHEALTHCHECK --interval=100ms CMD true\nCMD sleep 1000\n");
        try (var box = new GenericContainer<>(image).waitingFor(Wait.forHealthcheck())) {
            box.start();
            equal(box.isHealthy(), true);
        }
    }

    public void waitsForListeningPorts() throws Exception {
        try (var box = new Box("httpd -p 9000").withExposedPorts(9000).waitingFor(Wait.forListeningPort())) {
            box.start();
            equal(box.getFirstMappedPort() > 0, true);
        }
    }

    public void executes() throws Exception {
        try (var box = new Box("true").withEnv("FROM", "start").withWorkingDirectory("/tmp")) {
            box.start();
            var done = box.execInContainer("sh", "-c", "echo $FROM; pwd; echo err >&2; exit 5");
            equal(List.of(done.getExitCode(), done.getStdout(), done.getStderr()), List.of(5, "start\n/tmp\n", "err\n"));
            equal(box.execInContainer(ExecConfig.builder().user("guest").command(new String[] {"id", "-un"}).build()).getStdout(), "guest\n");
        }
    }

    public void copies() throws Exception {
        try (var box = new Box("true").withCopyToContainer(Transferable.of("early", 0600), "/a/b/early")) {
            box.start();
            equal(box.execInContainer("stat", "-c", "%a %s", "/a/b/early").getStdout(), "600 5\n");
            var large = new byte[3_000_000];
            box.copyFileToContainer(Transferable.of(large, 0755), "/large");
            var back = box.copyFileFromContainer("/large", stream -> {
                var data = new ByteArrayOutputStream();
                stream.transferTo(data);
                return data.size();
            });
            equal(back, large.length);
        }
    }

    public void networksResolveAliases() throws Exception {
        try (var network = Network.newNetwork();
             var teller = new Box("true").withNetwork(network).withNetworkAliases("teller");
             var asker = new Box("true").withNetwork(network).withExtraHost("other", "10.1.2.3")) {
            Stream.of(teller, asker).forEach(Box::start);
            equal(asker.execInContainer("ping", "-c", "1", "teller").getExitCode(), 0);
            equal(asker.execInContainer("grep", "-c", "10.1.2.3", "/etc/hosts").getStdout(), "1\n");
        }
    }

    public void buildsAnImage() throws Exception {
        var image = new ImageFromDockerfile("java/built:here", true)
            .withFileFromString("data", "packed\n")
            .withDockerfileFromBuilder(file -> file.from("busybox").copy("data", "/data").run("cat /data > /copy").cmd("cat /copy; exec sleep 1000").build());
        try (var box = new GenericContainer<>(image).waitingFor(Wait.forLogMessage("packed\n", 1)).withStartupTimeout(Duration.ofSeconds(60))) {
            box.start();
            equal(box.getDockerImageName(), "java/built:here");
            DockerClientFactory.lazyClient().stopContainerCmd(box.getContainerId()).withTimeout(0).exec();
            equal(box.getCurrentContainerInfo().getState().getExitCodeLong(), 137L);
        }
        DockerClientFactory.lazyClient().removeImageCmd("java/built:here").exec();
    }

    public static void main(String[] names) throws Exception {
        var tests = Stream.of(Containers.class.getDeclaredMethods()).filter(one -> one.getParameterCount() == 0 && !one.isSynthetic())
            .sorted(Comparator.comparing(Method::getName)).toList();
        for (var test : tests) {
            try {
                test.invoke(new Containers());
                System.out.println("ok " + test.getName());
            } catch (InvocationTargetException failure) {
                System.out.println("FAILED " + test.getName());
                failure.getCause().printStackTrace(System.out);
            }
        }
        System.exit(0);
    }
}
