//! Prints the generated part of `docs/spec/01-events.md`: the event table and the names.
//!
//! The table in the code is the definition; the page follows, and a test compares them.

use std::fmt::Write as _;

use tsem::EventKind;
use tsem::FieldSpec;
use tsem::FieldType;
use tsem::names;
use tsem::names::Names;

/// Every table of names, by the word that the page uses for it.
const NAMES: &[(&str, &Names)] = &[
    ("OPEN_INTENT", &names::OPEN_INTENT),
    ("PROTECTION", &names::PROTECTION),
    ("SHARING", &names::SHARING),
    ("PTRACE_MODE", &names::PTRACE_MODE),
    ("RENAME", &names::RENAME),
    ("ATTRIBUTES", &names::ATTRIBUTES),
    ("MOUNT", &names::MOUNT),
    ("SETID", &names::SETID),
    ("PRLIMIT", &names::PRLIMIT),
    ("KERNEL_READ", &names::KERNEL_READ),
    ("PRCTL", &names::PRCTL),
    ("NAMESPACE", &names::NAMESPACE),
    ("CAPABILITY", &names::CAPABILITY),
    ("FAMILY", &names::FAMILY),
    ("SOCKET_TYPE", &names::SOCKET_TYPE),
    ("FILE_SYSTEM", &names::FILE_SYSTEM),
];

fn main() {
    print!("{}", generated());
}

/// The generated part of the page.
pub(crate) fn generated() -> String {
    let mut page = String::from("## 4. The event table\n\n");
    page += "| code | event | profile | fields, in encoding order | meaning |\n";
    page += "| --- | --- | --- | --- | --- |\n";
    for kind in EventKind::ALL {
        let spec = kind.spec();
        let fields: Vec<String> = spec.fields.iter().map(field).collect();
        let (code, name, profile) = (kind.code(), spec.name, spec.profile.name());
        let (fields, summary) = (fields.join(", "), spec.summary.trim());
        writeln!(page, "| {code} | {name} | {profile} | {fields} | {summary} |").unwrap();
    }
    page += "\n## 5. Names of numbers\n\n| table | name | number |\n| --- | --- | --- |\n";
    for (table, names) in NAMES {
        for (name, number) in names.0 {
            writeln!(page, "| {table} | {name} | {number:#x} |").unwrap();
        }
    }
    page
}

fn field(field: &FieldSpec) -> String {
    format!("{}: {}", field.name, type_name(&field.field_type))
}

fn type_name(kind: &FieldType) -> String {
    match kind {
        FieldType::Flags(names) => format!("Flags({})", table_name(names)),
        FieldType::Flags64(names) => format!("Flags64({})", table_name(names)),
        FieldType::Choice(names) => format!("Choice({})", table_name(names)),
        plain => format!("{plain:?}"),
    }
}

fn table_name(names: &'static Names) -> &'static str {
    let found = NAMES.iter().find(|(_, table)| std::ptr::eq(*table, names));
    found.expect("every table of names is listed here").0
}
