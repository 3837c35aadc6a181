//! Where things are in this checkout.
//!
//! Paths are taken from where xtask was built, never from the working directory: a chore does the
//! same thing whatever folder it is called from.

use anyhow::Context;
use anyhow::Result;
use std::env;
use std::path::Path;
use std::path::PathBuf;

/// This checkout and its build folder.
#[derive(Debug)]
pub(crate) struct Repository {
    root: PathBuf,
    build: PathBuf,
    xtask: PathBuf,
}

impl Repository {
    /// Finds the checkout that this xtask belongs to.
    pub(crate) fn locate() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().context("xtask has no parent folder")?.to_path_buf();
        let build = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => env::current_dir()?.join(dir),
            None => root.join("target"),
        };
        // Asked now: a build may exchange the file under its name later.
        let xtask = env::current_exe().context("the path of this program")?;
        Ok(Self { root, build, xtask })
    }

    /// The folder that holds the workspace's Cargo.toml.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// This very program.
    pub(crate) fn xtask(&self) -> &Path {
        &self.xtask
    }

    /// A path below the root.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The release build of the binary `quixote`.
    pub(crate) fn quixote(&self) -> PathBuf {
        self.build.join("release/quixote")
    }

    /// A folder of the development build.
    pub(crate) fn development_build(&self, folder: &str) -> PathBuf {
        self.build.join("debug").join(folder)
    }

    /// An empty folder for a chore's own files.
    pub(crate) fn fresh_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.build.join("xtask").join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }
}

/// Whether a program can be found on PATH.
pub(crate) fn has_program(name: &str) -> bool {
    let Some(path) = env::var_os("PATH") else {
        return false;
    };
    env::split_paths(&path).any(|folder| folder.join(name).is_file())
}
