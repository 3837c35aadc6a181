//! `quixote references capture`: what vouches for Debian packages is kept before apt throws it away.

use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

use references::deb;
use references::deb::Indexes;
use references::problem::NotVouched;
use references::problem::Problem;
use references::readers::Readers;
use references::store::STORE;
use references::store::Store;

use crate::arguments::references::CaptureArguments;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::OrFail as _;
use crate::failure::Outcome;
use crate::output;

const HOOK: &str = "etc/apt/apt.conf.d/90quixote-references";
/// So many octets of names at most: apt hands over one a line.
const MAX_NAMES: u64 = 16 << 20;

pub(crate) fn run(arguments: &CaptureArguments) -> Outcome<Status> {
    if arguments.install_hook {
        return install_hook(arguments);
    }
    let files = if arguments.hook { files_of_hook()? } else { arguments.files.clone() };
    if files.is_empty() && !arguments.hook {
        let missing = Failure::new("no package files were named");
        return Err(missing.next("name them, or have apt do it: --install-hook"));
    }
    let (kept, not) = capture(arguments, &files)?;
    super::tell_not_vouched(&not);
    if arguments.json {
        let without: Vec<&str> = not.iter().map(|not| not.what.as_str()).collect();
        output::print_json(&serde_json::json!({ "kept": kept, "without_evidence": without }))?;
    }
    let kept = output::counted(kept, "package");
    output::note(&format!("evidence kept for {kept}, none for {}\n", not.len()));
    // As a hook: apt goes on unless the user wants otherwise.
    Ok(Status::yes_or_no(not.is_empty() || arguments.hook && !arguments.strict))
}

fn capture(arguments: &CaptureArguments, files: &[PathBuf]) -> Outcome<(usize, Vec<NotVouched>)> {
    let root = &arguments.root;
    let keys = super::keyring(&arguments.trust, root)?;
    let mut readers = Readers::new(super::isolation(&arguments.trust));
    let (indexes, mut not) = Indexes::of_apt(root, &keys, super::now_s(), &mut readers);
    let store = Store::open(&root.join(STORE)).or_fail("")?;
    let mut kept = 0;
    for path in files {
        let read = deb::package(path, &indexes, &mut readers);
        let result = read.and_then(|deb| store.keep(&deb, &indexes).map_err(Problem::from));
        match result {
            Ok(_) => kept += 1,
            Err(why) => not.push(NotVouched { what: path.display().to_string(), why }),
        }
    }
    Ok((kept, not))
}

/// Version 1 of apt's protocol for hooks: the names of package files, one a line.
fn files_of_hook() -> Outcome<Vec<PathBuf>> {
    let mut names = String::new();
    std::io::stdin().take(MAX_NAMES).read_to_string(&mut names).or_fail("stdin")?;
    let names = names.lines().map(PathBuf::from);
    Ok(names.filter(|path| path.extension().is_some_and(|kind| kind == "deb")).collect())
}

fn install_hook(arguments: &CaptureArguments) -> Outcome<Status> {
    let program = std::env::current_exe().or_fail("this program")?;
    let text = hook(&program, arguments.strict)?;
    let path = arguments.root.join(HOOK);
    std::fs::write(&path, text).or_fail(path.display())?;
    output::print(&format!("apt calls {} from now on ({})\n", program.display(), path.display()))?;
    Ok(Status::SUCCESS)
}

fn hook(program: &Path, strict: bool) -> Outcome<String> {
    let program = program.to_str().filter(|name| !name.contains(['"', '\\', '\'', ' ', '\n']));
    let program = program.ok_or_else(|| {
        let odd =
            Failure::new("the path of this program cannot be written into apt's configuration");
        odd.next("install quixote as /usr/bin/quixote")
    })?;
    let strict = if strict { " --strict" } else { "" };
    Ok(format!(
        "// Written by `quixote references capture --install-hook`.\n\
         DPkg::Pre-Install-Pkgs {{ \"{program} references capture --hook{strict}\"; }};\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hook_is_what_apt_reads() {
        let text = hook(Path::new("/usr/bin/quixote"), true).unwrap();
        assert!(text.contains("{ \"/usr/bin/quixote references capture --hook --strict\"; };"));
        assert!(hook(Path::new("/tmp/a \"b"), false).is_err());
    }
}
