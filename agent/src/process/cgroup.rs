//! Control groups: which container and which systemd unit a process belongs to.
//!
//! In: `/proc/PID/cgroup` (v1 and v2), or the id of a v2 group when the process is gone. Out: [`Cgroup`].

use std::{fs, os::unix::fs::DirEntryExt, path::Path, sync::Arc};

use engine::event::Time;
use rustc_hash::FxHashMap;

use super::Root;

/// Groups remembered by id; more than a machine has at a time.
const CACHE_MAX: usize = 16_384;
/// Directories looked at in a search of the v2 tree, and how deep.
const WALK_MAX: usize = 16_384;
const DEPTH_MAX: usize = 32;
/// Least kernel time between two searches of the v2 tree: one costs some milliseconds on a large machine.
const WALK_INTERVAL: Time = 100_000_000;

/// What a control group says of the processes in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// In the v2 hierarchy, or where that says nothing, systemd's or the first that does.
    pub path: Box<str>,
    pub container: Option<Box<str>>,
    /// The systemd unit with its suffix, if it is the process's own (not that of its container's engine).
    pub unit: Option<Box<str>>,
}

impl Cgroup {
    /// Reads the text of `/proc/PID/cgroup`: lines of `hierarchy:controllers:path`.
    pub fn parse(text: &str) -> Self {
        let lines = || {
            text.lines().filter_map(|line| {
                let (hierarchy, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                Some((hierarchy, controllers, path))
            })
        };
        let find = |wanted: fn(&str, &str) -> bool| {
            lines().find(|(hierarchy, controllers, path)| wanted(hierarchy, controllers) && *path != "/")
        };
        let path = find(|hierarchy, _| hierarchy == "0")
            .or_else(|| find(|_, controllers| controllers == "name=systemd"))
            .or_else(|| find(|_, _| true))
            .map_or("/", |(_, _, path)| path);
        let mut group = Self::of_path(path);
        if group.container.is_none()
            && let Some(container) = lines().find_map(|(_, _, path)| last_container(path))
        {
            group.container = Some(container.id.into());
            // What this path names is the engine's.
            group.unit = None;
        }
        group
    }

    fn of_path(path: &str) -> Self {
        let (unit, container) = match last_container(path) {
            None => (unit(path), None),
            // A service manager inside the container; or podman, which puts a container into the group of the
            // unit that started it. Other engines have a unit of their own around all containers.
            Some(Container { around, component, within, id }) => {
                let outer = || unit(around).filter(|_| component.starts_with("libpod"));
                (unit(within).or_else(outer), Some(id.into()))
            }
        };
        Self { path: path.into(), container, unit: unit.map(Into::into) }
    }
}

/// The unit that the last service or scope in a path names.
fn unit(path: &str) -> Option<&str> {
    let last = path.rsplit('/').find(|part| part.ends_with(".service") || part.ends_with(".scope"))?;
    // A scope is a session or something started by hand; `user@` is the manager of all of a user's units.
    let names_one = last.ends_with(".service") && !last.starts_with("user@");
    names_one.then_some(last)
}

/// A component of a path that stands for a container.
struct Container<'a> {
    around: &'a str,
    component: &'a str,
    within: &'a str,
    id: &'a str,
}

/// The innermost container in a path.
fn last_container(path: &str) -> Option<Container<'_>> {
    let mut rest = path;
    loop {
        let (around, component) = rest.rsplit_once('/').unwrap_or(("", rest));
        if let Some(id) = container(component) {
            return Some(Container {
                around,
                component,
                within: path.get(rest.len()..).unwrap_or_default(),
                id,
            });
        }
        if around.is_empty() {
            return None;
        }
        rest = around;
    }
}

/// `ID`, `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID`, `libpod-payload-ID`,
/// `kubepods-...:cri-containerd:ID`, and Fargate's `TASK-NUMBER`.
fn container(component: &str) -> Option<&str> {
    // The monitor of a container is not in it.
    if component.contains("conmon") {
        return None;
    }
    let name = component.strip_suffix(".scope").unwrap_or(component);
    let is_hex =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = name.rsplit([':', '-']).next()?;
    if is_hex(id, 64) {
        return Some(id);
    }
    let fargate = name.split_once('-').is_some_and(|(task, number)| {
        is_hex(task, 32) && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    fargate.then_some(name)
}

/// Control groups by process, and by v2 id when the process is gone.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    by_id: FxHashMap<u64, Arc<Cgroup>>,
    /// When the v2 tree may be searched again.
    next_walk: Time,
}

impl Cgroups {
    /// The group of a process. `id` is that of its v2 group, as an event of this time has it.
    pub(super) fn of(&mut self, root: &Root, pid: u32, id: Option<u64>, time: Time) -> Arc<Cgroup> {
        // No group has id 0: the record could not say.
        let id = id.filter(|id| *id != 0);
        if let Some(known) = id.and_then(|id| self.by_id.get(&id)) {
            return known.clone();
        }
        let Some(text) = root.text(format!("proc/{pid}/cgroup")) else {
            return id.map(|id| self.search(root, id, time)).unwrap_or_default();
        };
        let group = Arc::new(Cgroup::parse(&text));
        // Where there are v1 hierarchies the v2 id does not tell one container from another.
        if let (Some(id), true) = (id, text.lines().count() == 1) {
            self.remember(id, group.clone());
        }
        group
    }

    fn search(&mut self, root: &Root, id: u64, time: Time) -> Arc<Cgroup> {
        if time >= self.next_walk {
            self.next_walk = time.saturating_add(WALK_INTERVAL);
            let unified = root.join("sys/fs/cgroup/unified");
            let tree = if unified.is_dir() { unified } else { root.join("sys/fs/cgroup") };
            let mut left = WALK_MAX;
            self.walk(&tree, "", 0, &mut left);
        }
        // One that is gone too stays unknown: it is not searched for again.
        let group = self.by_id.get(&id).cloned().unwrap_or_default();
        self.remember(id, group.clone());
        group
    }

    /// A directory's inode number is the id of its group.
    fn walk(&mut self, directory: &Path, path: &str, depth: usize, left: &mut usize) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            let is_group = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_group || *left == 0 || depth == DEPTH_MAX {
                continue;
            }
            *left -= 1;
            let path = format!("{path}/{}", entry.file_name().to_string_lossy());
            self.remember(entry.ino(), Arc::new(Cgroup::of_path(&path)));
            self.walk(&entry.path(), &path, depth + 1, left);
        }
    }

    fn remember(&mut self, id: u64, group: Arc<Cgroup>) {
        if self.by_id.len() >= CACHE_MAX {
            self.by_id.clear();
        }
        self.by_id.insert(id, group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const OTHER: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

    /// Text with `ID` and `OTHER` in it, the container and the unit.
    fn check(text: &str, container: Option<&str>, unit: Option<&str>) {
        let group = Cgroup::parse(&text.replace("OTHER", OTHER).replace("ID", ID));
        assert_eq!(group.container.as_deref(), container, "container of {text}");
        assert_eq!(group.unit.as_deref(), unit, "unit of {text}");
    }

    #[test]
    fn containers_are_found_in_both_versions() {
        for text in [
            "0::/system.slice/docker-ID.scope",
            "12:memory:/docker/ID\n0::/system.slice/containerd.service",
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-ID.scope",
            "5:cpu:/kubepods/besteffort/pod1234/ID\n1:name=systemd:/kubepods/besteffort/pod1234/ID",
            "0::/system.slice/containerd.service/kubepods-burstable-podx.slice:cri-containerd:ID",
            "0::/kubepods.slice/kubepods-pod1.slice/crio-ID.scope/container",
            "0::/kubepods.slice/kubepods-pod1.slice/crio-ID",
            "0::/machine.slice/libpod-ID.scope/container",
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
            "0::/../../kubepods/pod1/ID",
            "0::/docker/OTHER/docker/ID",
            "4:memory:/ecs/task/ID",
            "0::/docker/ID",
            "4:memory:/docker/ID\n1:name=systemd:/docker/ID",
            "4:memory:/system.slice/docker-ID.scope\n0::/system.slice/docker-ID.scope",
            "0::/default/ID",
            "4:memory:/kubepods.slice/kubepods-pod1.slice/cri-containerd-ID.scope",
            "4:memory:/system.slice/containerd.service/kubepods-besteffort-pod1.slice:cri-containerd:ID",
            "4:memory:/kubepods.slice/kubepods-pod1.slice/crio-ID.scope",
            "4:memory:/machine.slice/libpod-ID.scope\n0::/machine.slice/libpod-ID.scope",
            "0::/machine.slice/libpod-ID.scope",
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/podman-1.scope/libpod-ID",
        ] {
            check(text, Some(ID), None);
        }
    }

    #[test]
    fn the_monitor_of_a_container_is_not_in_it() {
        check("0::/machine.slice/libpod-conmon-ID.scope", None, None);
        check("0::/kubepods.slice/crio-conmon-ID.scope", None, None);
    }

    #[test]
    fn fargate_names_a_container_by_task_and_number() {
        let task = "0123456789abcdef0123456789abcdef-1234567890";
        let group = Cgroup::parse(&format!("9:memory:/ecs/0123456789abcdef0123456789abcdef/{task}"));
        assert_eq!(group.container.as_deref(), Some(task));
    }

    #[test]
    fn only_a_unit_of_the_process_itself_counts() {
        check("0::/system.slice/shop.service", None, Some("shop.service"));
        check("0::/system.slice/system-shop.slice/shop@1.service", None, Some("shop@1.service"));
        check("0::/system.slice/shop.service/workers", None, Some("shop.service"));
        check("1:name=systemd:/system.slice/shop.service\n0::/", None, Some("shop.service"));
        check("0::/user.slice/user-0.slice/session-3.scope", None, None);
        check("0::/user.slice/user-0.slice/user@0.service/init.scope", None, None);
        check("0::/user.slice/user-0.slice/user@0.service/app.slice/me.service", None, Some("me.service"));
        check("0::/init.scope", None, None);
        check("0::/", None, None);
    }

    #[test]
    fn a_unit_around_a_container_counts_for_podman_only() {
        check("0::/system.slice/shop.service/libpod-payload-ID", Some(ID), Some("shop.service"));
        check("0::/system.slice/docker.service/docker/ID", Some(ID), None);
        check("0::/system.slice/docker-ID.scope/system.slice/web.service", Some(ID), Some("web.service"));
    }

    #[test]
    fn a_group_of_a_gone_process_is_found_by_its_id() {
        let tree = tempfile::tempdir().unwrap();
        let directory = tree.path().join("sys/fs/cgroup/system.slice/shop.service");
        fs::create_dir_all(&directory).unwrap();
        let id = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&directory).unwrap());
        let root = Root::new(tree.path());
        let mut groups = Cgroups::default();
        let group = groups.of(&root, 1, Some(id), 0);
        assert_eq!(group.path.as_ref(), "/system.slice/shop.service");
        assert_eq!(group.unit.as_deref(), Some("shop.service"));
        assert_eq!(*groups.of(&root, 1, Some(id + 1_000_000), 1), Cgroup::default());
    }

    #[test]
    fn garbage_is_no_group() {
        for text in ["", "\n\n", "0", "0:", "::", "0::", "x:y:z:w", ":::/a"] {
            let group = Cgroup::parse(text);
            assert!(group.container.is_none() && group.unit.is_none(), "{text:?}");
        }
    }
}
