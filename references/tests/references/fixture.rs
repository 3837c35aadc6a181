//! Keys and packages, made once a run by gpg, rpmbuild and rpmsign.

#![allow(unsafe_code, reason = "what all tests share has no destructor that runs: atexit(3)")]

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::OnceLock;

use references::openpgp::Keyring;

/// After everything that is signed here.
pub(crate) const NOW_S: u64 = 4_000_000_000;

/// Made once, shared by all tests.
pub(crate) static FIXTURE: LazyLock<Fixture> = LazyLock::new(Fixture::make);

/// Its folder, for the end of the process.
static FOLDER: OnceLock<PathBuf> = OnceLock::new();

pub(crate) struct Fixture {
    folder: tempfile::TempDir,
}

const SPEC: &str = "\
Name: sample
Version: 1.0
Release: 1
Epoch: 2
Summary: sample
License: MIT
BuildArch: noarch
%description
sample
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/etc %{buildroot}/usr/share/doc/sample
echo program > %{buildroot}/usr/bin/sample
chmod 755 %{buildroot}/usr/bin/sample
ln -s sample %{buildroot}/usr/bin/alias
echo setting > %{buildroot}/etc/sample.conf
echo text > %{buildroot}/usr/share/doc/sample/README
echo state > %{buildroot}/usr/share/doc/sample/state
echo terms > %{buildroot}/usr/share/doc/sample/terms
%files
/usr/bin/sample
/usr/bin/alias
%config(noreplace) /etc/sample.conf
%doc /usr/share/doc/sample/README
%verify(not filedigest) /usr/share/doc/sample/state
%license /usr/share/doc/sample/terms
%ghost /var/log/sample.log
";

impl Fixture {
    fn make() -> Self {
        let fixture = Self { folder: tempfile::tempdir().unwrap() };
        FOLDER.set(fixture.folder.path().to_owned()).unwrap();
        // SAFETY: `leave` is a function without arguments, and stays where it is.
        assert_eq!(unsafe { libc::atexit(leave) }, 0);
        fixture.make_key("rsa", "Key-Type: RSA\nKey-Length: 2048\n");
        fixture.make_key("eddsa", "Key-Type: EDDSA\nKey-Curve: ed25519\n");
        std::fs::write(fixture.path("sample.spec"), SPEC).unwrap();
        let top = fixture.path("top");
        let topdir = format!("_topdir {}", top.display());
        fixture.run("rpmbuild", &["-bb", "--quiet", "-D", &topdir, "sample.spec"]);
        let built = top.join("RPMS/noarch/sample-1.0-1.noarch.rpm");
        // The same under another name, so that both can be installed.
        std::fs::write(fixture.path("other.spec"), SPEC.replacen("sample", "other", 1)).unwrap();
        fixture.run("rpmbuild", &["-bb", "--quiet", "-D", &topdir, "other.spec"]);
        let other = top.join("RPMS/noarch/other-1.0-1.noarch.rpm");
        std::fs::copy(other, fixture.path("other.rpm")).unwrap();
        for name in ["unsigned", "rsa", "eddsa"] {
            std::fs::copy(&built, fixture.path(&format!("{name}.rpm"))).unwrap();
        }
        for name in ["rsa", "eddsa"] {
            fixture.sign_rpm(name);
        }
        fixture
    }

    fn make_key(&self, name: &str, kind: &str) {
        let home = self.path("gnupg");
        std::fs::create_dir_all(&home).unwrap();
        self.run("chmod", &["700", "gnupg"]);
        let text = format!(
            "%no-protection\n{kind}Key-Usage: sign\nName-Email: {name}@example.invalid\nExpire-Date: 0\n"
        );
        std::fs::write(self.path("key"), text).unwrap();
        self.run("gpg", &["--batch", "--quiet", "--gen-key", "key"]);
        let output = format!("{name}.asc");
        let user = format!("{name}@example.invalid");
        self.run("gpg", &["--batch", "--armor", "--output", &output, "--export", &user]);
    }

    fn sign_rpm(&self, name: &str) {
        self.sign_rpm_as(name, name);
    }

    /// Signs the package of this name by that signer's key.
    pub(crate) fn sign_rpm_as(&self, name: &str, signer: &str) {
        let name_of_key = format!("_gpg_name {signer}@example.invalid");
        let file = format!("{name}.rpm");
        self.run("rpmsign", &["-D", &name_of_key, "-D", "__gpg /usr/bin/gpg", "--addsign", &file]);
    }

    /// A file of the fixture.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// The certificates of these signers.
    pub(crate) fn keys(&self, names: &[&str]) -> Keyring {
        let mut keys = Keyring::default();
        for name in names {
            keys.extend(Keyring::read(&self.read(&format!("{name}.asc"))).unwrap());
        }
        keys
    }

    /// Runs a program in the fixture's folder, which has to succeed.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        self.run_in(self.folder.path(), program, arguments)
    }

    pub(crate) fn run_in(&self, folder: &Path, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).env("GNUPGHOME", self.path("gnupg"));
        let output = command.env("LC_ALL", "C").output();
        let output = output.unwrap_or_else(|_| panic!("{program}: run `cargo xtask setup`"));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program} {arguments:?}: {told}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// Ends the agents that gpg started, and removes the folder.
extern "C" fn leave() {
    let Some(folder) = FOLDER.get() else { return };
    let mut end = Command::new("gpgconf");
    let _ = end.args(["--kill", "all"]).env("GNUPGHOME", folder.join("gnupg")).status();
    let _ = std::fs::remove_dir_all(folder);
}
