//! `quixote references show`: a package, who signed it, and its files.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;

use ima_format::signature::PublicKey;

use references::FileDigest;
use references::apk;
use references::apk::ApkKey;
use references::deb;
use references::deb::Indexes;
use references::deb::Sha256Digest;
use references::oci::Layout;
use references::oci::Trust;
use references::openpgp::Keyring;
use references::problem::Problem;
use references::readers::Readers;
use references::rpm;
use references::signed_file;
use references::signed_file::Kind;
use references::sigstore::BundleKey;
use references::sigstore::Signed;
use references::sigstore::SignedBy;
use references::sigstore::keyless::Identity;
use references::statements::PackageReading;

use crate::arguments::references::ShowArguments;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::OrFail as _;
use crate::failure::Outcome;
use crate::output;

pub(crate) fn run(arguments: &ShowArguments) -> Outcome<Status> {
    let mut trusted = Trusted {
        keys: super::keyring(&arguments.trust, Path::new("/"))?,
        apk: arguments
            .apk_key
            .iter()
            .map(|path| ApkKey::read(path).or_fail(""))
            .collect::<Outcome<_>>()?,
        image: ImageTrust::Settled(Trust::None),
        arch: &arguments.arch,
    };
    let mut readers = Readers::new(super::isolation(&arguments.trust));
    trusted.image = image(arguments, &mut readers)?;
    let ima_keys = ima_keys(&arguments.ima_key)?;
    for path in &arguments.files {
        let reading = trusted.read(path, &mut readers).or_fail(path.display())?;
        verify_ima(&reading, &ima_keys).map_err(|failure| failure.at(path.display()))?;
        if arguments.json {
            super::scan::write(&reading.references, std::io::stdout().lock())?;
        } else {
            output::print(&told(&reading))?;
        }
    }
    Ok(Status::SUCCESS)
}

/// Which image is meant, and who says so.
enum ImageTrust {
    /// That is known before the layout is read.
    Settled(Trust),
    /// A signature within the layout is to say so: of the image with this digest, or of the only one.
    Within(Option<Sha256Digest>, SignedBy),
}

fn image(arguments: &ShowArguments, readers: &mut Readers) -> Outcome<ImageTrust> {
    let pinned = arguments.digest.as_deref().map(pinned).transpose()?;
    let Some(by) = signed_by(arguments)? else {
        return Ok(ImageTrust::Settled(pinned.map_or(Trust::None, Trust::Pinned)));
    };
    let Some(path) = &arguments.bundle else {
        return Ok(ImageTrust::Within(pinned, by));
    };
    let octets = std::fs::read(path).or_fail(path.display())?;
    let Signed { digests, signer, .. } = by.verify(&octets, readers).or_fail(path.display())?;
    let digest = match (pinned, &digests[..]) {
        (Some(digest), _) if digests.contains(&digest) => digest,
        (None, [only]) => *only,
        (Some(_), _) => {
            return Err(Failure::new("the bundle signs another digest").at(path.display()));
        }
        (None, _) => {
            let several = Failure::new("the bundle does not sign one digest").at(path.display());
            return Err(several.next("say which is meant: --digest sha256:..."));
        }
    };
    Ok(ImageTrust::Settled(Trust::Signed(digest, signer)))
}

/// Whose signature of an image counts: keys', or somebody's certificate's.
fn signed_by(arguments: &ShowArguments) -> Outcome<Option<SignedBy>> {
    let keyless = &arguments.keyless;
    if let (Some(root), Some(identity), Some(issuer)) =
        (&keyless.sigstore_root, &keyless.certificate_identity, &keyless.certificate_oidc_issuer)
    {
        let identity = Identity::read(root, identity, issuer).or_fail(root.display())?;
        return Ok(Some(SignedBy::Identity(identity.into())));
    }
    let keys = arguments.bundle_key.iter();
    let keys = keys.map(|path| BundleKey::read(path).or_fail(path.display()));
    let keys = keys.collect::<Outcome<Vec<_>>>()?;
    Ok((!keys.is_empty()).then_some(SignedBy::Keys(keys)))
}

fn ima_keys(paths: &[PathBuf]) -> Outcome<Vec<PublicKey>> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).or_fail(path.display())?;
        PublicKey::from_pem(&text).or_fail(path.display())
    };
    paths.iter().map(read).collect()
}

/// Every file with contents is signed by one of the keys, where keys are given.
fn verify_ima(reading: &PackageReading, keys: &[PublicKey]) -> Outcome<()> {
    for reference in reading.references.iter().filter(|_| !keys.is_empty()) {
        let path = output::printable(&String::from_utf8_lossy(&reference.path));
        let Some(value) = &reference.ima_signature else {
            return Err(Failure::new(format_args!("{path} is not signed for IMA")));
        };
        let digest = reference.digest.octets();
        if !keys.iter().any(|key| key.verify(value, digest).is_ok()) {
            return Err(Failure::new(format_args!("no key given signed {path} for IMA")));
        }
    }
    Ok(())
}

fn pinned(text: &str) -> Outcome<Sha256Digest> {
    let digest = FileDigest::parse(text).and_then(|digest| digest.octets().try_into().ok());
    digest.ok_or_else(|| {
        let no_digest = Failure::new("the digest is not of the form sha256:<64 digits>").at(text);
        no_digest.next("`index.json` of the layout names the digests of its images")
    })
}

/// What the user trusts.
struct Trusted<'a> {
    keys: Keyring,
    apk: Vec<ApkKey>,
    image: ImageTrust,
    arch: &'a str,
}

impl Trusted<'_> {
    /// Reads a file or folder as what its name says it is.
    fn read(&self, path: &Path, readers: &mut Readers) -> Result<PackageReading, Problem> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ends = |suffix: &str| name.ends_with(suffix);
        if path.is_dir() {
            return self.image(&Layout::open(path)?, readers);
        }
        if ends(".tar") {
            let layout = Layout::open_archive(path, readers)?;
            return self.image(&layout, readers);
        }
        if ends(".rpm") {
            return of_rpm(path, &self.keys, readers);
        }
        if ends(".deb") {
            let (indexes, _) = Indexes::of_apt(Path::new("/"), &self.keys, super::now_s(), readers);
            return deb::package(path, &indexes, readers).map(|deb| deb.reading);
        }
        if ends(".apk") {
            return apk::package(path, &self.apk, readers);
        }
        let kind = match () {
            () if name.contains(".pkg.tar") => Kind::Arch,
            () if ends(".mtree") || ends(".MTREE") => Kind::Mtree,
            () if ends(".spdx.json") => Kind::Spdx,
            () if ends(".cdx.json") => Kind::CycloneDx,
            () => Kind::List,
        };
        signed_file::read(path, kind, &self.keys, super::now_s(), readers)
    }

    fn image(&self, layout: &Layout, readers: &mut Readers) -> Result<PackageReading, Problem> {
        match &self.image {
            ImageTrust::Settled(trust) => layout.image(trust, self.arch, readers),
            ImageTrust::Within(digest, by) => {
                let trust = layout.signed(*digest, by, readers)?;
                layout.image(&trust, self.arch, readers)
            }
        }
    }
}

fn of_rpm(path: &Path, keys: &Keyring, readers: &mut Readers) -> Result<PackageReading, Problem> {
    let opened = File::open(path);
    let mut file = opened.map_err(|error| Problem::File { path: path.to_owned(), error })?;
    rpm::package(&mut file, keys, super::now_s(), readers)
}

fn told(reading: &PackageReading) -> String {
    let package = &reading.package;
    let mut text = format!(
        "{} {} {} ({}, verified by {})\n",
        output::styled(output::STRONG, &package.name),
        package.version,
        package.arch,
        package.format.name(),
        package.verified.name(),
    );
    if let Some(signer) = &package.signer {
        let _ = writeln!(text, "signed by {}  {}", signer.key, output::printable(&signer.name));
    }
    for reference in &reading.references {
        let path = output::printable(&String::from_utf8_lossy(&reference.path));
        let signed = reference.ima_signature.as_ref().map(|_| "signed for ima");
        let flags: Vec<_> = reference.flags.names().chain(signed).collect();
        let flags = output::styled(output::FAINT, &flags.join(","));
        let _ = writeln!(text, "  {}  {path} {flags}", reference.digest);
    }
    text
}
