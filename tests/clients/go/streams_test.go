// Attached clients, execs, logs, waiting, events and statistics: what streams.
package clients

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
)

func TestAttachCarriesAllStreams(t *testing.T) {
	id := create(t, container.Config{Cmd: shell("read first; echo $first; echo aside >&2; wc -c; exit 3"), OpenStdin: true, StdinOnce: true,
		AttachStdin: true, AttachStdout: true, AttachStderr: true}, container.HostConfig{})
	stream := must(docker.ContainerAttach(t.Context(), id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true}))(t)
	defer stream.Close()
	kind, _ := stream.MediaType()
	equal(t, kind, "application/vnd.docker.multiplexed-stream")
	ended, failed := docker.ContainerWait(t.Context(), id, container.WaitConditionNextExit)
	check(t, docker.ContainerStart(t.Context(), id, container.StartOptions{}))
	go func() {
		io.WriteString(stream.Conn, "the first line\n"+strings.Repeat("x", 1<<20))
		stream.CloseWrite() // the end of its input, and not of its output
	}()
	equal(t, split(t, stream.Reader), [2]string{"the first line\n1048576\n", "aside\n"})
	equal(t, result(t, ended, failed), 3)
}

func TestAttachesToATerminal(t *testing.T) {
	id := start(t, container.Config{Cmd: shell("echo ready; read x; stty size; exit 4"), Tty: true, OpenStdin: true}, container.HostConfig{})
	stream := must(docker.ContainerAttach(t.Context(), id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Logs: true}))(t)
	defer stream.Close()
	kind, _ := stream.MediaType()
	equal(t, kind, "application/vnd.docker.raw-stream")
	equal(t, must(stream.Reader.ReadString('\n'))(t), "ready\r\n")
	check(t, docker.ContainerResize(t.Context(), id, container.ResizeOptions{Height: 33, Width: 111}))
	io.WriteString(stream.Conn, "\n")
	equal(t, string(must(io.ReadAll(stream.Reader))(t)), "\r\n33 111\r\n")
	equal(t, wait(t, id), 4)
}

func TestExecutes(t *testing.T) {
	ctx, id := t.Context(), host(t)
	made := must(docker.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: shell("pwd; id -un; echo $WORD; read line; echo $line >&2; exit 5"),
		User: "guest", WorkingDir: "/tmp", Env: []string{"WORD=given"}, AttachStdin: true, AttachStdout: true, AttachStderr: true}))(t)
	stream := must(docker.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{}))(t)
	defer stream.Close()
	must(stream.Reader.Peek(1))(t) // it has begun: Docker, too, answers before
	running := must(docker.ContainerExecInspect(ctx, made.ID))(t)
	equal(t, running.Running && running.Pid > 0 && running.ContainerID == id, true)
	io.WriteString(stream.Conn, "typed\n")
	equal(t, split(t, stream.Reader), [2]string{"/tmp\nguest\ngiven\n", "typed\n"})
	ended := must(docker.ContainerExecInspect(ctx, made.ID))(t)
	equal(t, ended.ExitCode, 5)
	equal(t, ended.Running, false)

	made = must(docker.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: shell("stty size"), Tty: true, AttachStdout: true}))(t)
	terminal := must(docker.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{Tty: true, ConsoleSize: &[2]uint{22, 77}}))(t)
	defer terminal.Close()
	equal(t, string(must(io.ReadAll(terminal.Reader))(t)), "22 77\r\n")
	fails(t, docker.ContainerExecStart(ctx, made.ID, container.ExecStartOptions{Detach: true}), errdefs.IsConflict, "already r") // running or run: its end may still be on its way

	made = must(docker.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: []string{"absent"}}))(t)
	fails(t, docker.ContainerExecStart(ctx, made.ID, container.ExecStartOptions{Detach: true}), errdefs.IsInvalidArgument, "executable file not found")
}

func TestFollowsLogs(t *testing.T) {
	ctx := t.Context()
	id := start(t, container.Config{Cmd: shell("echo one; echo two >&2; read x; echo three; read x"), OpenStdin: true, Labels: map[string]string{"kind": "test"}},
		container.HostConfig{LogConfig: container.LogConfig{Config: map[string]string{"labels": "kind"}}})
	followed := must(docker.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: true}))(t)
	defer followed.Close()
	given := must(docker.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true}))(t)
	defer given.Close()
	io.WriteString(given.Conn, "\n\n")
	equal(t, split(t, followed), [2]string{"one\nthree\n", "two\n"}) // it ends with the container
	last := logs(t, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "2"})
	equal(t, strings.Count(last[0]+last[1], "\n"), 2)
	equal(t, logs(t, id, container.LogsOptions{ShowStdout: true, Tail: "3"}), [2]string{"one\nthree\n", ""})
	said := logs(t, id, container.LogsOptions{ShowStderr: true, Timestamps: true, Details: true})[1]
	when := must(time.Parse(time.RFC3339Nano, strings.Fields(said)[0]))(t)
	equal(t, strings.Fields(said)[1:], []string{"kind=test", "two"})
	equal(t, logs(t, id, container.LogsOptions{ShowStderr: true, Since: when.Add(time.Nanosecond).Format(time.RFC3339Nano)}), [2]string{})
	equal(t, logs(t, id, container.LogsOptions{ShowStderr: true, Until: when.Format(time.RFC3339Nano)}), [2]string{"", "two\n"})
	_, err := docker.ContainerLogs(ctx, id, container.LogsOptions{})
	fails(t, err, errdefs.IsInvalidArgument, "you must choose at least one stream")
}

func TestWaitsForEachCondition(t *testing.T) {
	ctx := t.Context()
	id := create(t, container.Config{Cmd: shell("read code; exit $code"), OpenStdin: true}, container.HostConfig{AutoRemove: true})
	equal(t, wait(t, id), 0) // it does not run
	next, nextFailed := docker.ContainerWait(ctx, id, container.WaitConditionNextExit)
	removed, removedFailed := docker.ContainerWait(ctx, id, container.WaitConditionRemoved)
	check(t, docker.ContainerStart(ctx, id, container.StartOptions{}))
	impatient, cancel := context.WithCancel(ctx)
	_, cancelled := docker.ContainerWait(impatient, id, container.WaitConditionNotRunning)
	cancel()
	equal(t, errors.Is(<-cancelled, context.Canceled), true)
	given := must(docker.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true}))(t)
	defer given.Close()
	io.WriteString(given.Conn, "42\n")
	equal(t, result(t, next, nextFailed), 42)
	equal(t, result(t, removed, removedFailed), 42)
	_, err := docker.ContainerInspect(ctx, id)
	equal(t, client.IsErrNotFound(err), true)
}

func TestStreamsEvents(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	begin := time.Now()
	wanted := filters.NewArgs(filters.Arg("type", "container"), filters.Arg("label", "watched=yes"))
	live, failed := docker.Events(ctx, events.ListOptions{Filters: wanted})
	start(t, container.Config{Cmd: []string{"true"}}, container.HostConfig{})
	id := start(t, container.Config{Cmd: shell("exit 6"), Labels: map[string]string{"watched": "yes"}}, container.HostConfig{})
	equal(t, wait(t, id), 6)
	check(t, docker.ContainerRemove(ctx, id, container.RemoveOptions{}))
	var seen []events.Action
	for len(seen) == 0 || seen[len(seen)-1] != events.ActionDestroy {
		select {
		case event := <-live:
			seen = append(seen, event.Action)
			equal(t, event.Actor.ID, id)
			if event.Action == events.ActionDie {
				equal(t, event.Actor.Attributes["exitCode"], "6")
			}
		case err := <-failed:
			t.Fatal(err)
		case <-time.After(time.Minute):
			t.Fatal(seen)
		}
	}
	equal(t, seen, []events.Action{"create", "start", "die", "destroy"})
	stop()
	equal(t, errors.Is(<-failed, context.Canceled), true)

	past, failed := docker.Events(t.Context(), events.ListOptions{Filters: filters.NewArgs(filters.Arg("container", id), filters.Arg("event", "die")),
		Since: fmt.Sprint(begin.Unix()), Until: fmt.Sprint(time.Now().Unix() + 1)})
	equal(t, (<-past).Action, events.ActionDie)
	equal(t, <-failed, io.EOF) // `until` has come
}

func TestStatistics(t *testing.T) {
	id := start(t, container.Config{Cmd: shell("while :; do :; done")}, container.HostConfig{Resources: container.Resources{Memory: 32 << 20, NanoCPUs: 2e8}})
	read := func(answer container.StatsResponseReader) (stats container.StatsResponse) {
		defer answer.Body.Close()
		equal(t, answer.OSType, "linux")
		check(t, json.NewDecoder(answer.Body).Decode(&stats))
		return stats
	}
	once := read(must(docker.ContainerStatsOneShot(t.Context(), id))(t))
	equal(t, once.MemoryStats.Limit, uint64(32<<20))
	equal(t, once.ID == id && once.PidsStats.Current == 1 && once.MemoryStats.Usage > 0 && len(once.Networks) == 1, true)
	equal(t, once.PreRead.IsZero() && once.PreCPUStats.CPUUsage.TotalUsage == 0, true)
	primed := read(must(docker.ContainerStats(t.Context(), id, false))(t))
	equal(t, primed.CPUStats.CPUUsage.TotalUsage > primed.PreCPUStats.CPUUsage.TotalUsage && primed.PreCPUStats.CPUUsage.TotalUsage > 0, true)

	stream := must(docker.ContainerStats(t.Context(), id, true))(t)
	defer stream.Body.Close()
	var lines [2]container.StatsResponse
	reader := bufio.NewReader(stream.Body)
	for i := range lines {
		check(t, json.Unmarshal(must(reader.ReadBytes('\n'))(t), &lines[i]))
	}
	equal(t, lines[1].PreRead, lines[0].Read)
	equal(t, lines[1].PreCPUStats.CPUUsage, lines[0].CPUStats.CPUUsage)
}
