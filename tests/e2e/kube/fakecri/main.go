// A container runtime with no containers: just enough of CRI v1 that a real kubelet starts, validates its
// configuration and registers its Node. It answers what kubelet asks of an idle runtime and refuses to pretend
// beyond that: whatever would need a container or an image is "Unimplemented", never a false success.
//
//	fakecri -socket PATH [-imagefs DIR] [-cgroup-driver cgroupfs|systemd|silent] [-log]
//
// It listens on that Unix socket alone, and stops on SIGTERM, SIGINT, or when its parent has gone.
// "silent" leaves RuntimeConfig unimplemented, so that kubelet falls back to its own cgroupDriver.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

type runtime struct {
	cri.UnimplementedRuntimeServiceServer
	driver string
}

type images struct {
	cri.UnimplementedImageServiceServer
	fs string
}

func (runtime) Version(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{Version: "0.1.0", RuntimeName: "fakecri", RuntimeVersion: "0.1.0", RuntimeApiVersion: "v1"}, nil
}

func (runtime) Status(context.Context, *cri.StatusRequest) (*cri.StatusResponse, error) {
	return &cri.StatusResponse{
		Status: &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
			{Type: cri.RuntimeReady, Status: true},
			{Type: cri.NetworkReady, Status: true},
		}},
		RuntimeHandlers: []*cri.RuntimeHandler{{Name: ""}},
	}, nil
}

func (r runtime) RuntimeConfig(context.Context, *cri.RuntimeConfigRequest) (*cri.RuntimeConfigResponse, error) {
	driver := cri.CgroupDriver_CGROUPFS
	switch r.driver {
	case "silent":
		return nil, status.Error(codes.Unimplemented, "RuntimeConfig is switched off")
	case "systemd":
		driver = cri.CgroupDriver_SYSTEMD
	}
	return &cri.RuntimeConfigResponse{Linux: &cri.LinuxRuntimeConfiguration{CgroupDriver: driver}}, nil
}

// The pod network is not ours; kubelet only tells the range it was given.
func (runtime) UpdateRuntimeConfig(context.Context, *cri.UpdateRuntimeConfigRequest) (*cri.UpdateRuntimeConfigResponse, error) {
	return &cri.UpdateRuntimeConfigResponse{}, nil
}

func (runtime) ListPodSandbox(context.Context, *cri.ListPodSandboxRequest) (*cri.ListPodSandboxResponse, error) {
	return &cri.ListPodSandboxResponse{}, nil
}

func (runtime) ListContainers(context.Context, *cri.ListContainersRequest) (*cri.ListContainersResponse, error) {
	return &cri.ListContainersResponse{}, nil
}

func (runtime) ListContainerStats(context.Context, *cri.ListContainerStatsRequest) (*cri.ListContainerStatsResponse, error) {
	return &cri.ListContainerStatsResponse{}, nil
}

func (runtime) ListPodSandboxStats(context.Context, *cri.ListPodSandboxStatsRequest) (*cri.ListPodSandboxStatsResponse, error) {
	return &cri.ListPodSandboxStatsResponse{}, nil
}

func (runtime) ListMetricDescriptors(context.Context, *cri.ListMetricDescriptorsRequest) (*cri.ListMetricDescriptorsResponse, error) {
	return &cri.ListMetricDescriptorsResponse{}, nil
}

func (runtime) ListPodSandboxMetrics(context.Context, *cri.ListPodSandboxMetricsRequest) (*cri.ListPodSandboxMetricsResponse, error) {
	return &cri.ListPodSandboxMetricsResponse{}, nil
}

func (images) ListImages(context.Context, *cri.ListImagesRequest) (*cri.ListImagesResponse, error) {
	return &cri.ListImagesResponse{}, nil
}

// No image is ever here: "not found" is an empty answer in CRI, not an error.
func (images) ImageStatus(context.Context, *cri.ImageStatusRequest) (*cri.ImageStatusResponse, error) {
	return &cri.ImageStatusResponse{}, nil
}

// The real use of the file system, because kubelet compares it with its eviction thresholds.
func (i images) ImageFsInfo(context.Context, *cri.ImageFsInfoRequest) (*cri.ImageFsInfoResponse, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(i.fs, &s); err != nil {
		return nil, status.Errorf(codes.Internal, "statfs %s: %v", i.fs, err)
	}
	use := &cri.FilesystemUsage{
		Timestamp:  time.Now().UnixNano(),
		FsId:       &cri.FilesystemIdentifier{Mountpoint: i.fs},
		UsedBytes:  &cri.UInt64Value{Value: (s.Blocks - s.Bfree) * uint64(s.Bsize)},
		InodesUsed: &cri.UInt64Value{Value: s.Files - s.Ffree},
	}
	return &cri.ImageFsInfoResponse{ImageFilesystems: []*cri.FilesystemUsage{use}, ContainerFilesystems: []*cri.FilesystemUsage{use}}, nil
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("fakecri: ")
	socket := flag.String("socket", "", "Unix socket to listen on (required)")
	fs := flag.String("imagefs", "/", "directory on the file system that images are said to be on")
	driver := flag.String("cgroup-driver", "cgroupfs", "what RuntimeConfig answers: cgroupfs, systemd, silent")
	verbose := flag.Bool("log", false, "print every call")
	flag.Parse()
	if *socket == "" || flag.NArg() != 0 {
		flag.Usage()
		os.Exit(2)
	}
	if *driver != "cgroupfs" && *driver != "systemd" && *driver != "silent" {
		log.Fatalf("unknown cgroup driver %q", *driver)
	}
	listener, err := net.Listen("unix", *socket)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		answer, err := next(ctx, req)
		if *verbose {
			log.Printf("%s %v", info.FullMethod, status.Code(err))
		}
		return answer, err
	}))
	cri.RegisterRuntimeServiceServer(server, runtime{driver: *driver})
	cri.RegisterImageServiceServer(server, images{fs: *fs})

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	parent := os.Getppid()
	go func() {
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-stop:
				server.Stop()
				return
			case <-tick.C:
				// A test that was killed must not leave its runtime behind.
				if os.Getppid() != parent {
					server.Stop()
					return
				}
			}
		}
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
