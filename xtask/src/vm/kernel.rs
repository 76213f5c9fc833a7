//! Kernels from Debian's suites, fetched with apt and unpacked without being installed.
//!
//! apt runs with a configuration of its own inside `.work/vm`: the machine's sources, lists and
//! packages stay as they are. The mirror is the one that the machine uses already.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{exec, packages};

/// A line of kernels that Spandrel is tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    /// What users call it.
    pub(crate) name: &'static str,
    /// The Debian suite that carries it.
    suite: &'static str,
}

impl Series {
    /// Every series, oldest first. 5.10 is the oldest kernel that Spandrel supports.
    pub(crate) const ALL: &[Self] = &[
        Self { name: "5.10", suite: "bullseye" },
        Self { name: "6.1", suite: "bookworm" },
        Self { name: "6.12", suite: "trixie" },
        Self { name: "7.x", suite: "sid" },
    ];

    /// The series of this name, or all of them.
    pub(crate) fn parse(name: &str) -> Result<Vec<Self>> {
        if name == "all" {
            return Ok(Self::ALL.to_vec());
        }
        let found: Vec<Self> = Self::ALL.iter().filter(|series| series.name == name).copied().collect();
        if found.is_empty() {
            let names: Vec<_> = Self::ALL.iter().map(|series| series.name).collect();
            bail!("unknown kernel `{name}`: {} or all", names.join(", "));
        }
        Ok(found)
    }
}

/// A kernel that lies unpacked on the host.
pub(crate) struct Kernel {
    /// What `uname -r` will print.
    pub(crate) release: String,
    /// The bootable image.
    pub(crate) image: PathBuf,
    /// `lib/modules/RELEASE`, with modules.dep.
    pub(crate) modules: PathBuf,
    /// For this kernel's files of a run.
    pub(crate) directory: PathBuf,
}

/// The kernel of this series, fetched unless an earlier run did.
pub(crate) fn fetch(series: Series) -> Result<Kernel> {
    let directory = exec::root().join(".work/vm").join(series.name);
    let tree = directory.join("tree");
    if let Ok(kernel) = unpacked(&directory, &tree) {
        return Ok(kernel);
    }
    eprintln!(
        "Fetching the kernel of Debian {} into {}; nothing is installed.",
        series.suite,
        directory.display()
    );
    let partial = directory.join("partial");
    for stale in [&tree, &partial] {
        if stale.exists() {
            fs::remove_dir_all(stale).with_context(|| format!("cannot remove {}", stale.display()))?;
        }
    }
    create(&partial)?;
    for package in download(series, &directory)? {
        exec::run(exec::command("dpkg-deb").arg("-x").args([&package, &partial]))?;
        fs::remove_file(&package).with_context(|| format!("cannot remove {}", package.display()))?;
    }
    // Newer packages have no /lib, where depmod looks.
    if !partial.join("lib").exists() {
        std::os::unix::fs::symlink("usr/lib", partial.join("lib")).context("cannot link lib to usr/lib")?;
    }
    let release = release(&partial)?;
    exec::run(exec::command("/sbin/depmod").arg("-b").arg(&partial).arg(&release))?;
    fs::rename(&partial, &tree).with_context(|| format!("cannot rename {}", partial.display()))?;
    unpacked(&directory, &tree)
}

fn unpacked(directory: &Path, tree: &Path) -> Result<Kernel> {
    let release = release(tree)?;
    let modules = tree.join("lib/modules").join(&release);
    let places = [tree.join("boot").join(format!("vmlinuz-{release}")), modules.join("vmlinuz")];
    let image = places.into_iter().find(|place| place.is_file());
    let image = image.with_context(|| format!("no image of kernel {release} in {}", tree.display()))?;
    ensure!(modules.join("modules.dep").is_file(), "no modules.dep in {}", modules.display());
    Ok(Kernel { release, image, modules, directory: directory.to_path_buf() })
}

fn release(tree: &Path) -> Result<String> {
    let modules = tree.join("lib/modules");
    let entries = fs::read_dir(&modules).with_context(|| format!("cannot read {}", modules.display()))?;
    let first = entries.flatten().next().with_context(|| format!("{} is empty", modules.display()))?;
    Ok(first.file_name().to_string_lossy().into_owned())
}

/// Downloads the packages that make up the suite's current kernel.
fn download(series: Series, directory: &Path) -> Result<Vec<PathBuf>> {
    let apt = Apt::new(series, directory)?;
    // The full flavour: the cloud one has no 9p.
    let image = apt.depends("linux-image-amd64", &["linux-image-"])?;
    ensure!(
        image.len() == 1,
        "linux-image-amd64 of {} depends on {image:?}, not on one kernel",
        series.suite
    );
    let mut packages = image.clone();
    for name in &image {
        // Where the image is split, it is made of these.
        packages.extend(apt.depends(name, &["linux-binary-", "linux-modules-", "linux-base-"])?);
    }
    apt.download(&packages)
}

struct Apt {
    configuration: PathBuf,
    archives: PathBuf,
}

impl Apt {
    fn new(series: Series, directory: &Path) -> Result<Self> {
        let base = directory.join("apt");
        let archives = base.join("archives");
        for part in ["lists/partial", "archives/partial"] {
            create(&base.join(part))?;
        }
        let mirror = mirror()?;
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let source = format!("deb [signed-by={keyring}] {mirror} {} main\n", series.suite);
        write(&base.join("sources.list"), &source)?;
        let configuration = base.join("apt.conf");
        let base = base.display();
        let lines = [
            format!("Dir::Etc::sourcelist \"{base}/sources.list\";"),
            "Dir::Etc::sourceparts \"/dev/null\";".to_owned(),
            format!("Dir::State::lists \"{base}/lists\";"),
            format!("Dir::Cache \"{base}\";"),
            "Acquire::Languages \"none\";".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";".to_owned(),
            // The lists lie in a directory that apt's own user may not be able to enter.
            "APT::Sandbox::User \"\";".to_owned(),
            String::new(),
        ];
        write(&configuration, &lines.join("\n"))?;
        let apt = Self { configuration, archives };
        exec::run(apt.command("apt-get").args(["-q", "update"]))?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = exec::command(program);
        command.env("APT_CONFIG", &self.configuration);
        command
    }

    /// What a package depends on directly, as far as the names start with one of these.
    fn depends(&self, package: &str, starts: &[&str]) -> Result<Vec<String>> {
        let text = exec::text(self.command("apt-cache").args(["depends", "--important", package]))?;
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        Ok(names
            .filter(|name| starts.iter().any(|start| name.starts_with(start)))
            .map(str::to_owned)
            .collect())
    }

    fn download(&self, packages: &[String]) -> Result<Vec<PathBuf>> {
        let mut command = self.command("apt-get");
        exec::run(command.current_dir(&self.archives).args(["-q", "download"]).args(packages))?;
        let entries = fs::read_dir(&self.archives).context("cannot read the directory of the downloads")?;
        let files = entries.flatten().map(|entry| entry.path());
        Ok(files.filter(|file| file.extension().is_some_and(|extension| extension == "deb")).collect())
    }
}

/// The Debian mirror that this machine is set up with.
fn mirror() -> Result<String> {
    let ask = || {
        let mut command = exec::command("apt-get");
        exec::text(command.args([
            "indextargets",
            "--format",
            "$(ORIGIN) $(LABEL) $(REPO_URI)",
            "Created-By: Packages",
        ]))
    };
    if let Some(mirror) = debian(&ask()?) {
        return Ok(mirror);
    }
    // Before the first update apt does not know which of its sources is Debian.
    if packages::is_root()? {
        exec::run(packages::apt_get().args(["-q", "update"]))?;
        if let Some(mirror) = debian(&ask()?) {
            return Ok(mirror);
        }
    }
    bail!(
        "apt knows no source of Debian itself: is one configured? (`apt-get indextargets` lists them after `apt-get update`)"
    )
}

fn debian(targets: &str) -> Option<String> {
    targets.lines().find_map(|line| line.strip_prefix("Debian Debian ")).map(|uri| uri.trim().to_owned())
}

fn create(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_debians_own_and_not_its_security_one() {
        let targets = "  https://deb.example.net/\nDebian Debian-Security http://mirror.example/debian-security/\n\
                       Debian Debian http://mirror.example/debian/";
        assert_eq!(debian(targets).as_deref(), Some("http://mirror.example/debian/"));
        assert_eq!(debian(""), None);
    }

    #[test]
    fn an_unknown_kernel_names_those_that_exist() {
        let error = Series::parse("4.19").unwrap_err().to_string();
        assert_eq!(error, "unknown kernel `4.19`: 5.10, 6.1, 6.12, 7.x or all");
        assert_eq!(Series::parse("all").unwrap().len(), 4);
    }
}
