//! The id of the container in which the gateway runs.

use std::fs;

/// What an engine mounts into every container, from a folder with the id of the container.
const MOUNTED: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

/// The length of an id, and of the part of it that is the host's name unless the settings give another one.
const ID_LENGTH: usize = 64;
const SHORT_ID_LENGTH: usize = 12;

/// The id, or its beginning; `None` outside of containers.
pub(super) fn id() -> Option<String> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    id_in(&read("/proc/self/mountinfo"), &read("/proc/sys/kernel/hostname"))
}

fn id_in(mounts: &str, host_name: &str) -> Option<String> {
    let of_mount = |line: &str| {
        // proc_pid_mountinfo(5): the fourth field is the source within its file system, the fifth is the place.
        let mut fields = line.split(' ').skip(3);
        let (source, place) = (fields.next()?, fields.next()?);
        let id = source.split('/').find(|part| is_id(part, ID_LENGTH))?;
        MOUNTED.contains(&place).then(|| id.to_owned())
    };
    let host_name = host_name.trim();
    mounts.lines().find_map(of_mount).or_else(|| is_id(host_name, SHORT_ID_LENGTH).then(|| host_name.to_owned()))
}

fn is_id(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "8dfafdbc3a4012a9ba1f1d8f2ae5ee5fd4b1a5a5b4ad3f0bcba2ae6ff9f3cafe";

    #[test]
    fn the_id_is_in_the_mounts_or_is_the_name_of_the_host() {
        let docker = format!(
            "1013 991 0:54 / / rw,relatime - overlay overlay rw\n\
             1021 1013 8:1 /var/lib/docker/containers/{ID}/resolv.conf /etc/resolv.conf rw - ext4 /dev/sda1 rw\n"
        );
        assert_eq!(id_in(&docker, "gateway\n").as_deref(), Some(ID));
        let podman = format!(
            "612 600 0:45 /containers/overlay-containers/{ID}/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw\n"
        );
        assert_eq!(id_in(&podman, "").as_deref(), Some(ID));
        assert_eq!(id_in("", "8dfafdbc3a40\n").as_deref(), Some("8dfafdbc3a40"));
    }

    #[test]
    fn a_host_with_containers_is_none() {
        let host = format!(
            "25 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
             90 25 0:46 / /var/lib/docker/containers/{ID}/mounts/shm rw - tmpfs shm rw\n\
             91 25 8:1 /srv/{ID}/hostname /mnt/hostname rw - ext4 /dev/sda1 rw\n"
        );
        assert_eq!(id_in(&host, "my-server\n"), None);
        assert_eq!(id_in("", "8DFAFDBC3A40"), None);
        assert_eq!(id_in("not a mount", ""), None);
    }
}
