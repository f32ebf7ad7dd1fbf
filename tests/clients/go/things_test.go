// What a container is made of and does: images, networks, volumes, files, changes, and finding it again.
package clients

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/jsonmessage"
	"github.com/docker/go-connections/nat"
)

// told reads a progress stream as the docker command does: its text, what it says in `aux`, and its error.
func told(t *testing.T, stream io.ReadCloser) (string, []string, error) {
	t.Helper()
	defer stream.Close()
	var text bytes.Buffer
	var facts []string
	err := jsonmessage.DisplayJSONMessagesStream(stream, &text, 0, false, func(message jsonmessage.JSONMessage) {
		var fact struct{ ID, Digest string }
		check(t, json.Unmarshal(*message.Aux, &fact))
		facts = append(facts, fact.ID+fact.Digest)
	})
	return text.String(), facts, err
}

func builds(t *testing.T, dockerfile string, options build.ImageBuildOptions) (string, []string, error) {
	t.Helper()
	context := pack(file("Dockerfile", 0o644, dockerfile), file("data", 0o600, "packed\n"), file("a/b", 0o644, ""))
	return told(t, must(docker.ImageBuild(t.Context(), context, options))(t).Body)
}

func TestBuilds(t *testing.T) {
	word := "given"
	options := build.ImageBuildOptions{Tags: []string{"go/built:v1", "go/built:v2"}, BuildArgs: map[string]*string{"WORD": &word}, Remove: true,
		Labels: map[string]string{"by": "go"}, Target: "last", Version: build.BuilderV1}
	dockerfile := "FROM busybox AS first\nARG WORD\nRUN echo $WORD > /word\nFROM busybox AS last\nCOPY --from=first /word /\nCOPY --chmod=640 data /d/\n" +
		"CMD cat /word /d/data\nFROM absent\n"
	text, facts, err := builds(t, dockerfile, options)
	check(t, err)
	made := must(docker.ImageInspect(t.Context(), "go/built:v1"))(t)
	equal(t, facts[len(facts)-1], made.ID)
	equal(t, strings.HasSuffix(text, "Successfully tagged go/built:v2\n"), true)
	equal(t, made.RepoTags, []string{"go/built:v1", "go/built:v2"})
	equal(t, made.Config.Labels, map[string]string{"by": "go"})
	id := start(t, container.Config{Image: "go/built:v2"}, container.HostConfig{})
	equal(t, wait(t, id), 0)
	equal(t, logs(t, id, container.LogsOptions{ShowStdout: true, ShowStderr: true}), [2]string{"given\npacked\n", ""})
	history := must(docker.ImageHistory(t.Context(), made.ID))(t)
	equal(t, history[len(history)-1].ID != "" && len(history) >= 3, true)
	_, err = docker.ImageRemove(t.Context(), made.ID, image.RemoveOptions{})
	fails(t, err, errdefs.IsConflict, "unable to delete")
	check(t, docker.ContainerRemove(t.Context(), id, container.RemoveOptions{}))
	gone := must(docker.ImageRemove(t.Context(), made.ID, image.RemoveOptions{Force: true, PruneChildren: true}))(t)
	equal(t, gone[0].Untagged != "" && gone[len(gone)-1].Deleted != "", true)

	_, _, err = builds(t, "FROM busybox\nRUN exit 9\n", build.ImageBuildOptions{})
	equal(t, err.Error(), "The command '/bin/sh -c exit 9' returned a non-zero code: 9")
	_, err = docker.ImageBuild(t.Context(), pack(file("Dockerfile", 0o644, "FORM busybox\n")), build.ImageBuildOptions{})
	fails(t, err, errdefs.IsInvalidArgument, "unknown instruction: FORM")
}

func TestPushesAndPulls(t *testing.T) {
	ctx, name := t.Context(), os.Getenv("BERTH_REGISTRY")+"/team/go:v1"
	check(t, docker.ImageTag(ctx, "busybox", name))
	text, facts, err := told(t, must(docker.ImagePush(ctx, name, image.PushOptions{RegistryAuth: "e30="}))(t))
	check(t, err)
	equal(t, strings.Contains(text, "v1: digest: "+facts[len(facts)-1]), true)
	must(docker.ImageRemove(ctx, name, image.RemoveOptions{}))(t)
	text, _, err = told(t, must(docker.ImagePull(ctx, name, image.PullOptions{}))(t))
	check(t, err)
	equal(t, strings.Contains(text, "Digest: "+facts[len(facts)-1]) && strings.Contains(text, "Status: Downloaded newer image for "+name), true)
	remote := must(docker.DistributionInspect(ctx, name, ""))(t)
	equal(t, remote.Descriptor.Digest.String(), facts[len(facts)-1])
	local := must(docker.ImageInspect(ctx, name))(t)
	equal(t, strings.HasSuffix(local.RepoDigests[len(local.RepoDigests)-1], facts[len(facts)-1]), true)
	must(docker.ImageRemove(ctx, name, image.RemoveOptions{}))(t)
	_, err = docker.ImagePull(ctx, os.Getenv("BERTH_REGISTRY")+"/team/absent", image.PullOptions{})
	fails(t, err, errdefs.IsNotFound, "manifest unknown")
}

func TestSavesLoadsAndFindsImages(t *testing.T) {
	ctx := t.Context()
	check(t, docker.ImageTag(ctx, "busybox", "go/saved:v1"))
	stream := must(docker.ImageSave(ctx, []string{"go/saved:v1"}))(t)
	data := must(io.ReadAll(stream))(t)
	stream.Close()
	must(docker.ImageRemove(ctx, "go/saved:v1", image.RemoveOptions{}))(t)
	loaded := must(docker.ImageLoad(ctx, bytes.NewReader(data), client.ImageLoadWithQuiet(true)))(t)
	equal(t, loaded.JSON, true)
	text, _, err := told(t, loaded.Body)
	check(t, err)
	equal(t, text, "Loaded image: go/saved:v1\n")
	found := must(docker.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", "go/*:v1")), SharedSize: true}))(t)
	equal(t, len(found) == 1 && found[0].Size > 0 && found[0].SharedSize >= 0, true)
	must(docker.ImageRemove(ctx, "go/saved:v1", image.RemoveOptions{}))(t)

	root := pack(file("only", 0o644, "here"))
	_, _, err = told(t, must(docker.ImageImport(ctx, image.ImportSource{Source: root, SourceName: "-"}, "go/imported:x", image.ImportOptions{Changes: []string{"ENV A=b"}}))(t))
	check(t, err)
	equal(t, must(docker.ImageInspect(ctx, "go/imported:x"))(t).Config.Env, []string{"A=b"})
	must(docker.ImageRemove(ctx, "go/imported:x", image.RemoveOptions{}))(t)
}

func TestCopies(t *testing.T) {
	ctx, id := t.Context(), host(t)
	check(t, docker.CopyToContainer(ctx, id, "/tmp", pack(&tar.Header{Name: "d", Typeflag: tar.TypeDir, Mode: 0o750}, file("d/x", 0o640, "content"),
		&tar.Header{Name: "d/link", Typeflag: tar.TypeSymlink, Linkname: "x"}), container.CopyToContainerOptions{CopyUIDGID: true}))
	equal(t, execute(t, id, "stat", "-c", "%a %u:%g %s", "/tmp/d/x"), "640 1000:2000 7\n")
	link := must(docker.ContainerStatPath(ctx, id, "/tmp/d/link"))(t)
	equal(t, link.LinkTarget, "/tmp/d/x")
	equal(t, link.Mode&os.ModeSymlink != 0, true)
	stream, stat, err := docker.CopyFromContainer(ctx, id, "/tmp/d/.")
	check(t, err)
	defer stream.Close()
	equal(t, stat.Mode, os.ModeDir|0o750)
	names := map[string]string{}
	for reader := tar.NewReader(stream); ; {
		entry, err := reader.Next()
		if err == io.EOF {
			break
		}
		check(t, err)
		names[entry.Name] = string(must(io.ReadAll(reader))(t))
	}
	equal(t, names, map[string]string{"./": "", "./x": "content", "./link": ""})
	_, err = docker.ContainerStatPath(ctx, id, "/absent")
	fails(t, err, errdefs.IsNotFound, "%2Fabsent") // an answer to HEAD has no sentence: the client makes one of the request
	fails(t, docker.CopyToContainer(ctx, id, "/absent", pack(), container.CopyToContainerOptions{}), errdefs.IsNotFound, "/absent")
	fails(t, docker.CopyToContainer(ctx, id, "/tmp", pack(file("d", 0o600, "")), container.CopyToContainerOptions{}), errdefs.IsInvalidArgument, "")
}

func TestNetworks(t *testing.T) {
	ctx := t.Context()
	made := must(docker.NetworkCreate(ctx, "gonet", network.CreateOptions{Labels: map[string]string{"by": "go"},
		IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: "10.99.9.0/24", Gateway: "10.99.9.1"}}}}))(t)
	_, err := docker.NetworkCreate(ctx, "gonet", network.CreateOptions{})
	fails(t, err, errdefs.IsConflict, "network with name gonet already exists")
	id := host(t)
	check(t, docker.NetworkConnect(ctx, "gonet", id, &network.EndpointSettings{Aliases: []string{"teller"}, IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: "10.99.9.77"}}))
	endpoint := must(docker.ContainerInspect(ctx, id))(t).NetworkSettings.Networks["gonet"]
	equal(t, endpoint.IPAddress+endpoint.Gateway+endpoint.NetworkID, "10.99.9.77"+"10.99.9.1"+made.ID)
	asker := start(t, container.Config{Cmd: []string{"nslookup", "teller"}}, container.HostConfig{NetworkMode: "gonet"})
	equal(t, wait(t, asker), 0)
	equal(t, strings.Contains(logs(t, asker, container.LogsOptions{ShowStdout: true})[0], "10.99.9.77"), true)
	check(t, docker.ContainerRemove(ctx, asker, container.RemoveOptions{}))
	equal(t, len(must(docker.NetworkInspect(ctx, made.ID[:12], network.InspectOptions{}))(t).Containers), 1)
	fails(t, docker.NetworkRemove(ctx, "gonet"), errdefs.IsPermissionDenied, "has active endpoints")
	check(t, docker.NetworkDisconnect(ctx, "gonet", id, false))
	found := must(docker.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "by=go"), filters.Arg("driver", "bridge"))}))(t)
	equal(t, len(found) == 1 && found[0].ID == made.ID, true)
	pruned := must(docker.NetworksPrune(ctx, filters.NewArgs(filters.Arg("label", "by"))))(t)
	equal(t, pruned.NetworksDeleted, []string{"gonet"})
}

func TestVolumes(t *testing.T) {
	ctx := t.Context()
	made := must(docker.VolumeCreate(ctx, volume.CreateOptions{Name: "godata", Labels: map[string]string{"by": "go"}}))(t)
	again := must(docker.VolumeCreate(ctx, volume.CreateOptions{Name: "godata"}))(t)
	equal(t, again.Mountpoint, made.Mountpoint)
	id := start(t, container.Config{Cmd: shell("echo kept > /data/file")}, container.HostConfig{Binds: []string{"godata:/data"}})
	equal(t, wait(t, id), 0)
	fails(t, docker.VolumeRemove(ctx, "godata", false), errdefs.IsConflict, "volume is in use")
	mounted := must(docker.ContainerInspect(ctx, id))(t).Mounts[0]
	equal(t, mounted.Name+mounted.Destination+mounted.Source, "godata"+"/data"+made.Mountpoint)
	check(t, docker.ContainerRemove(ctx, id, container.RemoveOptions{RemoveVolumes: true}))
	found := must(docker.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "by=go"), filters.Arg("dangling", "true"))}))(t)
	equal(t, len(found.Volumes) == 1 && found.Volumes[0].Name == "godata", true) // named volumes stay
	pruned := must(docker.VolumesPrune(ctx, filters.NewArgs(filters.Arg("all", "true"))))(t)
	equal(t, pruned.VolumesDeleted, []string{"godata"})
	equal(t, pruned.SpaceReclaimed >= 5, true)
}

func TestListsByFilters(t *testing.T) {
	ctx := t.Context()
	first := start(t, container.Config{Cmd: []string{"cat"}, OpenStdin: true, Labels: map[string]string{"by": "go"}, ExposedPorts: nat.PortSet{"80/tcp": {}}},
		container.HostConfig{PortBindings: nat.PortMap{"80/tcp": {{HostIP: "127.0.0.1", HostPort: "0"}}}, Mounts: nil, Binds: []string{"golist:/v"}})
	second := start(t, container.Config{Cmd: shell("exit 3")}, container.HostConfig{NetworkMode: "none"})
	equal(t, wait(t, second), 3)
	for text, wanted := range map[string][]string{"": {second, first}, "status=exited": {second}, "exited=3": {second}, "exited=0": {}, "label=by=go": {first},
		"since=" + first: {second}, "before=" + second: {first}, "volume=golist": {first}, "network=none": {second}, "expose=80/tcp": {first},
		"ancestor=busybox": {second, first}, "id=" + first[:12]: {first}, "health=none": {second, first}} {
		wish := filters.NewArgs()
		if name, value, given := strings.Cut(text, "="); given {
			wish.Add(name, value)
		}
		ids := []string{}
		for _, one := range must(docker.ContainerList(ctx, container.ListOptions{All: true, Filters: wish}))(t) {
			ids = append(ids, one.ID)
		}
		if strings.Join(ids, " ") != strings.Join(wanted, " ") {
			t.Errorf("%q lists %v, not %v", text, ids, wanted)
		}
	}
	shown := must(docker.ContainerList(ctx, container.ListOptions{Size: true}))(t)
	equal(t, len(shown), 1)
	port := shown[0].Ports[0]
	equal(t, port.IP == "127.0.0.1" && port.PrivatePort == 80 && port.PublicPort > 0 && shown[0].SizeRootFs > 0, true)
	_, err := docker.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("nonsense", "x"))})
	fails(t, err, errdefs.IsInvalidArgument, "nonsense")
	check(t, docker.ContainerRemove(ctx, first, container.RemoveOptions{Force: true}))
	check(t, docker.VolumeRemove(ctx, "golist", false))
}

func TestChangesAndCommits(t *testing.T) {
	ctx, id := t.Context(), host(t)
	execute(t, id, "sh", "-c", "echo new > /etc/new; rm /etc/group")
	kinds := map[string]container.ChangeType{}
	for _, one := range must(docker.ContainerDiff(ctx, id))(t) {
		kinds[one.Path] = one.Kind
	}
	equal(t, kinds, map[string]container.ChangeType{"/etc": container.ChangeModify, "/etc/new": container.ChangeAdd, "/etc/group": container.ChangeDelete})
	made := must(docker.ContainerCommit(ctx, id, container.CommitOptions{Reference: "go/committed:v1", Comment: "why", Author: "who", Changes: []string{"CMD cat /etc/new"}}))(t)
	again := start(t, container.Config{Image: made.ID}, container.HostConfig{})
	equal(t, wait(t, again), 0)
	equal(t, logs(t, again, container.LogsOptions{ShowStdout: true})[0], "new\n")
	check(t, docker.ContainerRemove(ctx, again, container.RemoveOptions{}))
	must(docker.ImageRemove(ctx, "go/committed:v1", image.RemoveOptions{}))(t)

	check(t, docker.ContainerRename(ctx, id, "gorenamed"))
	must(docker.ContainerUpdate(ctx, id, container.UpdateConfig{Resources: container.Resources{Memory: 64 << 20, MemorySwap: 64 << 20},
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: 2}}))(t)
	now := must(docker.ContainerInspect(ctx, "gorenamed"))(t)
	equal(t, now.HostConfig.Memory, int64(64<<20))
	equal(t, now.HostConfig.RestartPolicy.MaximumRetryCount, 2)
	top := must(docker.ContainerTop(ctx, id, []string{"-o", "pid,comm"}))(t)
	equal(t, top.Titles, []string{"PID", "COMMAND"})
	equal(t, top.Processes[0][1], "cat")
	soon := 0
	check(t, docker.ContainerRestart(ctx, id, container.StopOptions{Timeout: &soon, Signal: "KILL"}))
	equal(t, must(docker.ContainerInspect(ctx, id))(t).State.Pid != now.State.Pid, true)
	check(t, docker.ContainerStop(ctx, id, container.StopOptions{Timeout: &soon}))
	exported := must(docker.ContainerExport(ctx, id))(t)
	defer exported.Close()
	entry := must(tar.NewReader(exported).Next())(t)
	equal(t, entry.Name != "", true)
}
