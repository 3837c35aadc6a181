//! Tags and types that are read, by rpm's numbers.

/// Region of a signature header.
pub const HEADER_SIGNATURES: u32 = 62;
/// Region of a main header.
pub const HEADER_IMMUTABLE: u32 = 63;
/// Signature of the header, `EdDSA` or DSA.
pub const DSA_HEADER: u32 = 267;
/// Signature of the header, RSA.
pub const RSA_HEADER: u32 = 268;
/// IMA's signature of each file, hexadecimal, in the signature header.
pub const FILE_SIGNATURES: u32 = 274;
/// The same where the database keeps it.
pub const STORED_FILE_SIGNATURES: u32 = 5090;
/// SHA-256 of the header, hexadecimal.
pub const SHA256_HEADER: u32 = 273;
/// Signatures of the header, base64, version 6 packages.
pub const OPENPGP: u32 = 278;

/// Name.
pub const NAME: u32 = 1000;
/// Version.
pub const VERSION: u32 = 1001;
/// Release.
pub const RELEASE: u32 = 1002;
/// Epoch.
pub const EPOCH: u32 = 1003;
/// Architecture.
pub const ARCH: u32 = 1022;
/// Full names, of packages older than 2000.
pub const OLD_FILE_NAMES: u32 = 1027;
/// Sizes, 32 bits.
pub const FILE_SIZES: u32 = 1028;
/// Modes.
pub const FILE_MODES: u32 = 1030;
/// Digests, hexadecimal; empty for what has no contents.
pub const FILE_DIGESTS: u32 = 1035;
/// Targets of symbolic links.
pub const FILE_LINK_TARGETS: u32 = 1036;
/// Flags.
pub const FILE_FLAGS: u32 = 1037;
/// What is to be verified.
pub const FILE_VERIFY_FLAGS: u32 = 1045;
/// Name of the source package; absent in a source package.
pub const SOURCE_RPM: u32 = 1044;
/// Directory of each file, by index.
pub const DIR_INDEXES: u32 = 1116;
/// Last component of each path.
pub const BASE_NAMES: u32 = 1117;
/// Directories.
pub const DIR_NAMES: u32 = 1118;
/// Sizes, 64 bits.
pub const LONG_FILE_SIZES: u32 = 5008;
/// Algorithm of the digests, by its number in `OpenPGP`.
pub const FILE_DIGEST_ALGORITHM: u32 = 5011;
/// Digest of the compressed payload, hexadecimal.
pub const PAYLOAD_DIGEST: u32 = 5092;
/// Algorithm of that digest.
pub const PAYLOAD_DIGEST_ALGORITHM: u32 = 5093;

/// `RPMFILE_CONFIG`.
pub const FLAG_CONFIG: u32 = 1;
/// `RPMFILE_DOC`.
pub const FLAG_DOC: u32 = 2;
/// `RPMFILE_GHOST`.
pub const FLAG_GHOST: u32 = 64;
/// `RPMFILE_LICENSE`.
pub const FLAG_LICENSE: u32 = 128;
/// `RPMVERIFY_FILEDIGEST`.
pub const VERIFY_DIGEST: u32 = 1;
