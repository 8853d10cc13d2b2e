//! Documents of Docker's API as engines send them: version 1.44 (Docker 25, and the oldest that Docker 29 speaks) and
//! version 1.52 (Docker 29), which leaves out what was deprecated.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::engine::Container;

/// The newest version that an engine speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1_44,
    V1_52,
}

impl Version {
    pub(crate) fn minor(self) -> u32 {
        match self {
            Self::V1_44 => 44,
            Self::V1_52 => 52,
        }
    }
}

pub(crate) fn version(version: Version) -> Value {
    json!({
        "Platform": {"Name": "Docker Engine - Community"},
        "Components": [],
        "Version": "29.0.0",
        "ApiVersion": format!("1.{}", version.minor()),
        "MinAPIVersion": "1.44",
        "GitCommit": "d105562",
        "GoVersion": "go1.25.4",
        "Os": "linux",
        "Arch": "amd64",
        "KernelVersion": "6.8.0-52-generic",
        "BuildTime": "2025-11-10T21:48:22.000000000+00:00",
    })
}

/// An entry of `GET /containers/json`.
pub(crate) fn summary(version: Version, container: &Container) -> Value {
    let tcp = |port: &String| {
        let (port, protocol) = port.split_once('/').unwrap();
        json!({"PrivatePort": port.parse::<u16>().unwrap(), "Type": protocol})
    };
    let health = container.health.map(|health| match health {
        "starting" => " (health: starting)".to_owned(),
        other => format!(" ({other})"),
    });
    let mut summary = json!({
        "Id": container.id(),
        "Names": [format!("/{}", container.name)],
        "Image": "shop:latest",
        "ImageID": "sha256:72297848456d5d37d1262630108ab308d3e9ec7ed1c3286a32fe09856619a782",
        "Command": "uvicorn app:app",
        "Created": 1_739_811_096,
        "Ports": container.exposed.iter().map(tcp).collect::<Vec<_>>(),
        "Labels": labels(container),
        "State": container.state,
        "Status": format!("Up 5 minutes{}", health.unwrap_or_default()),
        "HostConfig": {"NetworkMode": network_mode(container)},
        "NetworkSettings": {"Networks": networks(version, container)},
        "Mounts": [{
            "Type": "volume",
            "Name": "data",
            "Source": "",
            "Destination": "/data",
            "Driver": "local",
            "Mode": "z",
            "RW": true,
            "Propagation": ""
        }],
    });
    if version == Version::V1_52 {
        summary["Health"] = json!({"Status": container.health.unwrap_or("none"), "FailingStreak": 0});
        summary["ImageManifestDescriptor"] = json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": "sha256:72297848456d5d37d1262630108ab308d3e9ec7ed1c3286a32fe09856619a782",
            "size": 1024,
            "platform": {"architecture": "amd64", "os": "linux"},
        });
    }
    summary
}

/// `GET /containers/{id}/json`
pub(crate) fn description(version: Version, container: &Container) -> Value {
    let exposed: Map<String, Value> = container.exposed.iter().map(|port| (port.clone(), json!({}))).collect();
    let mut state = json!({
        "Status": container.state,
        "Running": container.state != "exited",
        "Paused": container.state == "paused",
        "Restarting": container.state == "restarting",
        "OOMKilled": false,
        "Dead": false,
        "Pid": 1234,
        "ExitCode": 0,
        "Error": "",
        "StartedAt": "2025-02-17T17:43:40.012345678Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
    });
    if let Some(health) = container.health {
        let probe = json!({
            "Start": "2025-02-17T17:44:10.6385933Z",
            "End": "2025-02-17T17:44:10.8078565Z",
            "ExitCode": 0,
            "Output": "ok\n",
        });
        state["Health"] = json!({"Status": health, "FailingStreak": 0, "Log": [probe]});
    }
    let mut settings = json!({
        "SandboxID": "9d12daf2c33f5959c8bf90aa513e4f65b561738661003029ec84830cd503a0c3",
        "SandboxKey": "/var/run/docker/netns/9d12daf2c33f",
        "Ports": container.exposed.iter().map(|port| (port.clone(), Value::Null)).collect::<Map<_, _>>(),
        "Networks": networks(version, container),
    });
    let mut description = json!({
        "Id": container.id(),
        "Created": "2025-02-17T17:43:39.64001363Z",
        "Path": "uvicorn",
        "Args": ["app:app"],
        "State": state,
        "Image": "sha256:72297848456d5d37d1262630108ab308d3e9ec7ed1c3286a32fe09856619a782",
        "ResolvConfPath": format!("/var/lib/docker/containers/{}/resolv.conf", container.id()),
        "HostnamePath": format!("/var/lib/docker/containers/{}/hostname", container.id()),
        "HostsPath": format!("/var/lib/docker/containers/{}/hosts", container.id()),
        "LogPath": format!("/var/lib/docker/containers/{0}/{0}-json.log", container.id()),
        "Name": format!("/{}", container.name),
        "RestartCount": 0,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "docker-default",
        "ExecIDs": null,
        "HostConfig": host_config(container),
        "Mounts": [],
        "Config": {
            "Hostname": &container.id()[..12],
            "Domainname": "",
            "User": "",
            "AttachStdin": false,
            "AttachStdout": true,
            "AttachStderr": true,
            "ExposedPorts": exposed,
            "Tty": false,
            "OpenStdin": false,
            "StdinOnce": false,
            "Env": ["PATH=/usr/local/bin:/usr/bin"],
            "Cmd": ["uvicorn", "app:app"],
            "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10_000_000_000_i64, "Timeout": 5_000_000_000_i64},
            "Image": "shop:latest",
            "Volumes": null,
            "WorkingDir": "/app",
            "Entrypoint": null,
            "Labels": labels(container),
        },
    });
    match version {
        Version::V1_44 => {
            description["Config"]["OnBuild"] = Value::Null;
            description["GraphDriver"] =
                json!({"Data": {"MergedDir": "/var/lib/docker/overlay2/x/merged"}, "Name": "overlay2"});
            // Deprecated since 1.21, and empty but for the network bridge.
            for (name, value) in [
                ("Bridge", json!("")),
                ("HairpinMode", json!(false)),
                ("LinkLocalIPv6Address", json!("")),
                ("LinkLocalIPv6PrefixLen", json!(0)),
                ("SecondaryIPAddresses", Value::Null),
                ("SecondaryIPv6Addresses", Value::Null),
                ("EndpointID", json!("")),
                ("Gateway", json!("")),
                ("GlobalIPv6Address", json!("")),
                ("GlobalIPv6PrefixLen", json!(0)),
                ("IPAddress", json!("192.0.2.1")),
                ("IPPrefixLen", json!(0)),
                ("IPv6Gateway", json!("")),
                ("MacAddress", json!("")),
            ] {
                settings[name] = value;
            }
        }
        Version::V1_52 => description["Storage"] = json!({"RootFS": {"Snapshot": {"Name": "overlayfs"}}}),
    }
    description["NetworkSettings"] = settings;
    description
}

/// A line of `GET /events`.
pub(crate) fn event(version: Version, action: &str, container: &Container) -> Value {
    #[expect(clippy::disallowed_methods, reason = "an engine has a clock of its own")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut attributes = labels(container);
    attributes.insert("image".to_owned(), json!("shop:latest"));
    attributes.insert("name".to_owned(), json!(container.name));
    let mut event = json!({
        "Type": "container",
        "Action": action,
        "Actor": {"ID": container.id(), "Attributes": attributes},
        "scope": "local",
        "time": now.as_secs(),
        "timeNano": u64::try_from(now.as_nanos()).unwrap(),
    });
    if version == Version::V1_44 {
        event["status"] = json!(action);
        event["id"] = json!(container.id());
        event["from"] = json!("shop:latest");
    }
    event
}

fn labels(container: &Container) -> Map<String, Value> {
    container.labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
}

fn network_mode(container: &Container) -> &'static str {
    container.networks.first().map_or("none", |(name, _)| name)
}

fn networks(version: Version, container: &Container) -> Map<String, Value> {
    let endpoint = |(name, address): &(&str, String)| {
        let (v4, v6) = if address.contains(':') { ("", address.as_str()) } else { (address.as_str(), "") };
        let mut endpoint = json!({
            "IPAMConfig": null,
            "Links": null,
            "Aliases": [container.name],
            "MacAddress": "02:42:ac:12:00:05",
            "DriverOpts": null,
            "NetworkID": "08754567f1f40222263eab4102e1c733ae697e8e354aa9cd6e18d7402835292a",
            "EndpointID": "b88f5b905aabf2893f3cbc4ee42d1ea7980bbc0a92e2c8922b1e1795298afb0b",
            "Gateway": "172.18.0.1",
            "IPAddress": v4,
            "IPPrefixLen": 16,
            "IPv6Gateway": "",
            "GlobalIPv6Address": v6,
            "GlobalIPv6PrefixLen": 0,
            "DNSNames": [container.name, &container.id()[..12]],
        });
        if version == Version::V1_52 {
            endpoint["GwPriority"] = json!(0);
        }
        ((*name).to_owned(), endpoint)
    };
    container.networks.iter().map(endpoint).collect()
}

fn host_config(container: &Container) -> Value {
    let mut host_config: Value = serde_json::from_str(HOST_CONFIG).unwrap();
    host_config["NetworkMode"] = json!(network_mode(container));
    host_config
}

const HOST_CONFIG: &str = r#"{
    "Binds": null,
    "ContainerIDFile": "",
    "LogConfig": {"Type": "json-file", "Config": {}},
    "PortBindings": {},
    "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
    "AutoRemove": false,
    "VolumeDriver": "",
    "VolumesFrom": null,
    "ConsoleSize": [0, 0],
    "CapAdd": null,
    "CapDrop": null,
    "CgroupnsMode": "private",
    "Dns": [],
    "DnsOptions": [],
    "DnsSearch": [],
    "ExtraHosts": [],
    "GroupAdd": null,
    "IpcMode": "private",
    "Cgroup": "",
    "Links": null,
    "OomScoreAdj": 0,
    "PidMode": "",
    "Privileged": false,
    "PublishAllPorts": false,
    "ReadonlyRootfs": false,
    "SecurityOpt": null,
    "UTSMode": "",
    "UsernsMode": "",
    "ShmSize": 67108864,
    "Runtime": "runc",
    "Isolation": "",
    "CpuShares": 0,
    "Memory": 0,
    "NanoCpus": 0,
    "CgroupParent": "",
    "BlkioWeight": 0,
    "BlkioWeightDevice": null,
    "CpuPeriod": 0,
    "CpusetCpus": "",
    "Devices": null,
    "DeviceRequests": null,
    "MemorySwappiness": null,
    "OomKillDisable": null,
    "PidsLimit": null,
    "Ulimits": null,
    "MaskedPaths": ["/proc/acpi"],
    "ReadonlyPaths": ["/proc/bus"]
}"#;
