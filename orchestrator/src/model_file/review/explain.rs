//! What a model allows, by program and by what it touches.
//!
//! Made to be read to the end: files are put together by directory, and a directory that holds
//! many is told with a count. Nothing is left out without a number that says how much.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use tsem::Coe;
use tsem::Digest;

use super::counted;
use super::phrase::Phrase;
use super::phrase::Topic;
use super::phrase::chain_text;
use super::phrase::phrase;
use crate::model_file::header::Header;
use crate::model_file::header::rule_lines;
use crate::model_file::model::Described;
use crate::model_file::model::ModelFile;

/// Files of one directory that are still told one by one.
const FILES_MAX: usize = 4;
/// Names given as examples of a directory.
const EXAMPLES: usize = 3;
/// Directories of one verb that are still told one by one.
const DIRECTORIES_MAX: usize = 12;
/// Leading components by which too many directories are put together.
const COARSE_COMPONENTS: usize = 2;

/// A model in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The header.
    pub header: Header,
    /// The state, in hexadecimal digits.
    pub state: String,
    /// How many events it allows.
    pub coefficients: usize,
    /// How many of them nobody can explain, because their descriptions were left out.
    pub undescribed: usize,
    /// The rules and what each gives away.
    pub rules: Vec<RuleNote>,
    /// Programs, parents before children.
    pub programs: Vec<ProgramNote>,
}

/// A rule and its price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleNote {
    /// As in the file.
    pub rule: String,
    /// In words.
    pub gives_away: String,
}

/// What one program may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramNote {
    /// The chain of programs that leads to it.
    pub chain: String,
    /// With which credentials it acts.
    pub credentials: Vec<String>,
    /// By topic, each with its lines.
    pub topics: Vec<TopicNote>,
}

/// What a program may do of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicNote {
    /// The kind.
    pub topic: Topic,
    /// In words.
    pub lines: Vec<String>,
}

/// Explains a model.
pub fn explain(model: &ModelFile) -> Explanation {
    let mut by_program: BTreeMap<(String, Digest), Vec<&Described>> = BTreeMap::new();
    for (_, described) in model.described() {
        let actor = actor(described);
        by_program.entry((chain_text(model, &actor), actor)).or_default().push(described);
    }
    let programs =
        by_program.into_iter().map(|((chain, _), events)| program(model, chain, &events));
    let programs: Vec<ProgramNote> = programs.collect();
    Explanation {
        header: model.header().clone(),
        state: model.state().to_hex(),
        coefficients: model.len(),
        undescribed: model.len() - model.described().count(),
        rules: rule_notes(model),
        programs,
    }
}

/// Who acts: an exec is told of the program that executes, not of the one that it becomes.
pub(super) fn actor(described: &Described) -> Digest {
    match described.cell.kind {
        tsem::EventKind::BprmCommittedCreds => described.identity.parent,
        _ => described.identity.task,
    }
}

fn program(model: &ModelFile, chain: String, events: &[&Described]) -> ProgramNote {
    let credentials: BTreeSet<Coe> = events.iter().map(|event| event.coe).collect();
    let mut topics: BTreeMap<Topic, BTreeSet<Phrase>> = BTreeMap::new();
    for event in events {
        let phrase = phrase(model, &event.cell);
        topics.entry(phrase.topic).or_default().insert(phrase);
    }
    let note = |(topic, phrases)| TopicNote { topic, lines: lines(&phrases) };
    ProgramNote {
        chain,
        credentials: credentials.iter().map(ToString::to_string).collect(),
        topics: topics.into_iter().map(note).collect(),
    }
}

/// Phrases with the same verb, put together by directory.
pub(super) fn lines(phrases: &BTreeSet<Phrase>) -> Vec<String> {
    let mut verbs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut lines = Vec::new();
    for phrase in phrases {
        if phrase.is_path {
            verbs.entry(&phrase.verb).or_default().push(&phrase.object);
        } else {
            lines.push(phrase.to_string());
        }
    }
    for (verb, paths) in verbs {
        let mut directories = grouped(&paths, |path| path.rsplit_once('/').map(|cut| cut.0));
        let mut where_ = "in";
        if directories.len() > DIRECTORIES_MAX {
            directories = grouped(&paths, coarse_directory);
            where_ = "below";
        }
        for (directory, paths) in directories {
            directory_lines(&mut lines, verb, where_, directory, &paths);
        }
    }
    lines
}

fn grouped<'a>(
    paths: &[&'a str],
    directory: impl Fn(&'a str) -> Option<&'a str>,
) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in paths {
        groups.entry(directory(path).unwrap_or_default()).or_default().push(path);
    }
    groups
}

fn coarse_directory(path: &str) -> Option<&str> {
    let ends = path.match_indices('/').map(|(at, _)| at).take(COARSE_COMPONENTS + 1);
    ends.last().map(|end| &path[..end])
}

fn directory_lines(
    lines: &mut Vec<String>,
    verb: &str,
    where_: &str,
    directory: &str,
    paths: &[&str],
) {
    if paths.len() <= FILES_MAX {
        lines.extend(paths.iter().map(|path| format!("{verb} {path}")));
        return;
    }
    let name = |path: &&str| path[directory.len()..].trim_start_matches('/').to_owned();
    let examples: Vec<String> = paths.iter().take(EXAMPLES).map(name).collect();
    let directory = if directory.is_empty() { "/" } else { directory };
    let (number, examples) = (paths.len(), examples.join(", "));
    lines.push(format!("{verb} {number} files {where_} {directory}: {examples}, ..."));
}

/// The rules of a model and what each gives away.
pub fn rule_notes(model: &ModelFile) -> Vec<RuleNote> {
    let rules = model.rules();
    let names = rules.names.iter().map(|rule| (rule.to_string(), rule.gives_away()));
    let references = rules.references.iter().map(|rule| (rule.to_string(), rule.gives_away()));
    let named: BTreeMap<String, String> = names.chain(references).collect();
    let note = |rule: String| {
        let gives_away = named.get(&rule).cloned().unwrap_or_else(|| price(&rule).into());
        RuleNote { rule, gives_away }
    };
    rule_lines(rules).into_iter().map(note).collect()
}

fn price(rule: &str) -> &'static str {
    match rule.split(' ').next() {
        Some("ephemeral") => "ports of this range are not told apart",
        Some("digest") => "nothing: it binds files that are only read to their content",
        _ => "a program that may talk to one of these addresses may talk to all of them",
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = &self.header;
        let Header { workload, serial, runs, events, losses, .. } = header;
        writeln!(f, "Model of {workload}, serial {serial}, state {}", self.state)?;
        let profile = header.rules.profile.name();
        let (runs, events) = (counted(*runs, "run"), counted(*events, "event"));
        writeln!(f, "Learned over {runs} and {events}, {losses} lost, profile {profile}.")?;
        let allowed = counted(self.coefficients, "distinct event");
        writeln!(f, "It allows {allowed} and denies all others.")?;
        if self.undescribed > 0 {
            let number = self.undescribed;
            writeln!(f, "Without a description, so that they cannot be reviewed: {number}.")?;
        }
        writeln!(f, "\nRules, and what each gives away:")?;
        for note in &self.rules {
            writeln!(f, "  {}\n      {}", note.rule, note.gives_away)?;
        }
        self.programs.iter().try_for_each(|program| write!(f, "\n{program}"))
    }
}

impl fmt::Display for ProgramNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.chain)?;
        for credentials in &self.credentials {
            writeln!(f, "  as {credentials}")?;
        }
        for note in &self.topics {
            writeln!(f, "  {}:", note.topic.heading())?;
            note.lines.iter().try_for_each(|line| writeln!(f, "    {line}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_file::model::ModelFile;
    use crate::model_file::model::tests::model;
    use crate::model_file::model::tests::story;
    use tsem::TaskIndex;

    #[test]
    fn programs_and_topics_are_told_in_words() {
        let text = explain(&model()).to_string();
        for line in [
            "Model of nginx, serial 7, state ",
            "\nstart\n  as uid=0 gid=0 caps=all\n  executes:\n    execute /bin/sh\n",
            "\n/bin/sh > /usr/sbin/nginx\n  as uid=33 gid=33 caps=none\n",
            "\n  reads:\n    read /etc/nginx/nginx.conf\n",
            "\n  writes:\n    write /tmp/cc{alnum:6}.s\n",
            "\n  network:\n    connect to inet/stream/0 10.0.0.0/9:443\n",
            "\n  name /tmp/cc{alnum:6}.s made\n      a program may use any name",
        ] {
            assert!(text.contains(line), "{line:?} is not in:\n{text}");
        }
    }

    #[test]
    fn many_files_are_told_by_directory_and_counted() {
        let mut story = story("/tmp/cc123456.s");
        for number in 0..9 {
            story.open(TaskIndex(2), &format!("/usr/share/x/f{number}"), 1);
            story.open(TaskIndex(2), "/usr/share/y", 1);
        }
        let model = ModelFile::learned(model().header().clone(), &[&story.observation]).unwrap();
        let text = explain(&model).to_string();
        assert!(text.contains("read 9 files in /usr/share/x: f0, f1, f2, ...\n"), "{text}");
        assert!(text.contains("    read /usr/share/y\n"), "{text}");
        for number in 0..20 {
            story.open(TaskIndex(2), &format!("/usr/lib/d{number}/f"), 1);
        }
        let model = ModelFile::learned(model.header().clone(), &[&story.observation]).unwrap();
        let text = explain(&model).to_string();
        assert!(text.contains("read 20 files below /usr/lib: d0/f, d1/f, d10/f, ..."), "{text}");
    }

    #[test]
    fn what_cannot_be_explained_is_counted() {
        let text = model().to_text(crate::model_file::format::Descriptions::Omit);
        let bare = ModelFile::parse(text.as_bytes()).unwrap();
        let explanation = explain(&bare);
        assert_eq!((explanation.undescribed, explanation.programs.len()), (5, 0));
        assert!(
            explanation
                .to_string()
                .contains("Without a description, so that they cannot be reviewed: 5.")
        );
    }
}
