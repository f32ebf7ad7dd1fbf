// Docker's own client for Go: versions and errors, and what the tests of the other files share.
package clients

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
)

var docker *client.Client

func TestMain(tests *testing.M) {
	made, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		panic(err)
	}
	docker = made
	os.Exit(tests.Run())
}

// must is called as must(f())(t).
func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		check(t, err)
		return value
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%T: %v", err, err)
	}
}

func equal[T any](t *testing.T, got, wanted T) {
	t.Helper()
	if !reflect.DeepEqual(got, wanted) {
		t.Fatalf("got %#v, wanted %#v", got, wanted)
	}
}

func fails(t *testing.T, err error, kind func(error) bool, sentence string) {
	t.Helper()
	if err == nil || !kind(err) || !strings.Contains(err.Error(), sentence) {
		t.Fatalf("%T %v is not the error %q", err, err, sentence)
	}
}

func create(t *testing.T, config container.Config, host container.HostConfig) string {
	t.Helper()
	if config.Image == "" {
		config.Image = "busybox"
	}
	made := must(docker.ContainerCreate(t.Context(), &config, &host, &network.NetworkingConfig{}, nil, ""))(t)
	equal(t, len(made.Warnings), 0)
	t.Cleanup(func() {
		err := docker.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		if err != nil && !errdefs.IsNotFound(err) {
			t.Error(err)
		}
	})
	return made.ID
}

func start(t *testing.T, config container.Config, host container.HostConfig) string {
	t.Helper()
	id := create(t, config, host)
	check(t, docker.ContainerStart(t.Context(), id, container.StartOptions{}))
	return id
}

// host is a container that stays until it is told to end.
func host(t *testing.T) string {
	t.Helper()
	return start(t, container.Config{Cmd: []string{"cat"}, OpenStdin: true}, container.HostConfig{})
}

func shell(script string) []string { return []string{"sh", "-c", script} }

func wait(t *testing.T, id string) int64 {
	t.Helper()
	ended, failed := docker.ContainerWait(t.Context(), id, container.WaitConditionNotRunning)
	return result(t, ended, failed)
}

func result(t *testing.T, ended <-chan container.WaitResponse, failed <-chan error) int64 {
	t.Helper()
	select {
	case answer := <-ended:
		if answer.Error != nil {
			t.Fatal(answer.Error.Message)
		}
		return answer.StatusCode
	case err := <-failed:
		t.Fatal(err)
	case <-time.After(time.Minute):
		t.Fatal("no end")
	}
	return -1
}

// split reads both streams of a container or of a process in it to their end.
func split(t *testing.T, stream io.Reader) [2]string {
	t.Helper()
	var out, errors bytes.Buffer
	must(stdcopy.StdCopy(&out, &errors, stream))(t)
	return [2]string{out.String(), errors.String()}
}

func logs(t *testing.T, id string, options container.LogsOptions) [2]string {
	t.Helper()
	stream := must(docker.ContainerLogs(t.Context(), id, options))(t)
	defer stream.Close()
	return split(t, stream)
}

func execute(t *testing.T, id string, words ...string) string {
	t.Helper()
	made := must(docker.ContainerExecCreate(t.Context(), id, container.ExecOptions{Cmd: words, AttachStdout: true, AttachStderr: true}))(t)
	stream := must(docker.ContainerExecAttach(t.Context(), made.ID, container.ExecAttachOptions{}))(t)
	defer stream.Close()
	said := split(t, stream.Reader)
	equal(t, said[1], "")
	return said[0]
}

func pack(entries ...*tar.Header) *bytes.Buffer {
	var data bytes.Buffer
	writer := tar.NewWriter(&data)
	for _, entry := range entries {
		content := entry.PAXRecords["content"]
		entry.PAXRecords, entry.Size = nil, int64(len(content))
		if err := writer.WriteHeader(entry); err != nil {
			panic(err)
		}
		io.WriteString(writer, content)
	}
	writer.Close()
	return &data
}

func file(name string, mode int64, content string) *tar.Header {
	return &tar.Header{Name: name, Mode: mode, Uid: 1000, Gid: 2000, PAXRecords: map[string]string{"content": content}}
}

func TestNegotiatesTheVersion(t *testing.T) {
	fresh := must(client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation()))(t)
	defer fresh.Close()
	info := must(fresh.Info(t.Context()))(t)
	equal(t, info.OSType, "linux")
	equal(t, fresh.ClientVersion(), "1.51") // the client's own, below the engine's
	ping := must(fresh.Ping(t.Context()))(t)
	equal(t, ping.OSType, "linux")
	equal(t, string(ping.BuilderVersion), "2") // BuildKit's protocols
	version := must(fresh.ServerVersion(t.Context()))(t)
	equal(t, ping.APIVersion, version.APIVersion)
	equal(t, version.MinAPIVersion, "1.24")

	for asked, sentence := range map[string]string{"1.24": "", "1.12": "client version 1.12 is too old", "1.99": "client version 1.99 is too new"} {
		fixed := must(client.NewClientWithOpts(client.FromEnv, client.WithVersion(asked)))(t)
		_, err := fixed.ContainerList(t.Context(), container.ListOptions{})
		if sentence == "" {
			check(t, err)
		} else {
			fails(t, err, errdefs.IsInvalidArgument, sentence)
		}
		fixed.Close()
	}
}

func TestErrorsAreTyped(t *testing.T) {
	ctx := t.Context()
	_, err := docker.ContainerInspect(ctx, "absent")
	fails(t, err, errdefs.IsNotFound, "No such container: absent")
	equal(t, client.IsErrNotFound(err), true)
	_, err = docker.ImageInspect(ctx, "absent")
	fails(t, err, errdefs.IsNotFound, "No such image: absent:latest")
	_, err = docker.NetworkInspect(ctx, "absent", network.InspectOptions{})
	fails(t, err, errdefs.IsNotFound, "network absent not found")
	_, err = docker.VolumeInspect(ctx, "absent")
	fails(t, err, errdefs.IsNotFound, "no such volume")
	_, err = docker.ContainerExecInspect(ctx, "absent")
	fails(t, err, errdefs.IsNotFound, "No such exec instance: absent")
	_, err = docker.ContainerCreate(ctx, &container.Config{Image: "absent"}, nil, nil, nil, "")
	fails(t, err, errdefs.IsNotFound, "No such image: absent:latest")
	_, failed := docker.ContainerWait(ctx, "absent", container.WaitConditionNotRunning)
	fails(t, <-failed, errdefs.IsNotFound, "No such container: absent")

	id := host(t)
	name := must(docker.ContainerInspect(ctx, id))(t).Name
	_, err = docker.ContainerCreate(ctx, &container.Config{Image: "busybox"}, nil, nil, nil, name[1:])
	fails(t, err, errdefs.IsConflict, "is already in use by container")
	fails(t, docker.ContainerRemove(ctx, id, container.RemoveOptions{}), errdefs.IsConflict, "container is running")
	check(t, docker.ContainerStart(ctx, id, container.StartOptions{})) // not modified is no error
	check(t, docker.ContainerPause(ctx, id))
	fails(t, docker.ContainerPause(ctx, id), errdefs.IsConflict, "is already paused")
	check(t, docker.ContainerUnpause(ctx, id))
	fails(t, docker.ContainerKill(ctx, id, "NOSIGNAL"), errdefs.IsInvalidArgument, "NOSIGNAL")
	check(t, docker.ContainerKill(ctx, id, "KILL"))
	equal(t, wait(t, id), 137)
	fails(t, docker.ContainerKill(ctx, id, "KILL"), errdefs.IsConflict, "is not running")
	_, err = docker.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: []string{"true"}})
	fails(t, err, errdefs.IsConflict, "is not running")

	_, err = docker.ContainerCreate(ctx, &container.Config{Image: "busybox"}, &container.HostConfig{Resources: container.Resources{Memory: 1}}, nil, nil, "")
	fails(t, err, errdefs.IsInvalidArgument, "Minimum memory limit allowed is 6MB")
	absent := create(t, container.Config{Cmd: []string{"absent"}}, container.HostConfig{})
	fails(t, docker.ContainerStart(ctx, absent, container.StartOptions{}), errdefs.IsInvalidArgument, "executable file not found")
	fails(t, docker.NetworkRemove(ctx, "bridge"), errdefs.IsPermissionDenied, "is a pre-defined network and cannot be removed")

	nobody := must(client.NewClientWithOpts(client.WithHost("unix:///run/absent.sock")))(t)
	_, err = nobody.Info(ctx)
	fails(t, err, client.IsErrConnectionFailed, "Cannot connect to the Docker daemon")
}
