//! What the guest prints, a JSON object a line, and what can be asked of it.

use super::super::statistics::Spread;
use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use serde::Deserialize;

/// One line.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Machine(Machine),
    Sample(Sample),
    Profile(Profile),
    Memory(Memory),
}

/// What was measured on.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Machine {
    /// The kernel's release.
    pub(super) kernel: String,
    pub(super) processors: u32,
    pub(super) clock: Clock,
}

/// What a microsecond is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Clock {
    Wall,
    /// A thousand instructions, of all processors together.
    Instructions,
}

impl Clock {
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Wall => "figures are microseconds",
            Self::Instructions => {
                "figures are thousands of instructions, of all processors together"
            }
        }
    }
}

/// One figure, with what was counted in its run.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Sample {
    pub(super) case: String,
    pub(super) configuration: String,
    /// For each call.
    pub(super) micros: f64,
    /// What the agent was asked.
    pub(super) events: u64,
    /// Allowed in the kernel: the very same had been before.
    pub(super) cached: u64,
    /// Settled in the kernel by the model.
    pub(super) decided: u64,
    pub(super) lost: u64,
}

/// The dearest BPF programs of a run.
#[derive(Debug, Deserialize)]
pub(super) struct Profile {
    pub(super) case: String,
    pub(super) configuration: String,
    pub(super) programs: Vec<Program>,
}

/// A BPF program, for each call of a case.
#[derive(Debug, Deserialize)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) runs: f64,
    pub(super) micros: f64,
}

/// Of the kernel for each idle namespace, in KiB.
#[derive(Debug, Deserialize)]
pub(super) struct Memory {
    /// BPF maps, without the model's.
    pub(super) maps: f64,
    #[serde(rename = "Slab")]
    pub(super) slab: f64,
    #[serde(rename = "KernelStack")]
    pub(super) stacks: f64,
    #[serde(rename = "PageTables")]
    pub(super) page_tables: f64,
    /// Those of the slab that grew most.
    pub(super) caches: Vec<Cache>,
}

/// A cache of the slab, for each idle namespace.
#[derive(Debug, Deserialize)]
pub(super) struct Cache {
    pub(super) name: String,
    pub(super) kib: f64,
}

impl Memory {
    pub(super) fn total(&self) -> f64 {
        self.maps + self.slab + self.stacks + self.page_tables
    }
}

/// Of all boots.
#[derive(Debug, Default)]
pub(super) struct Results {
    machine: Option<Machine>,
    pub(super) samples: Vec<Sample>,
    profiles: Vec<Profile>,
    memory: Option<Memory>,
}

impl Results {
    /// Takes what one boot printed.
    pub(super) fn add(&mut self, text: &str) -> Result<()> {
        for line in text.lines() {
            match serde_json::from_str(line).with_context(|| line.to_owned())? {
                Line::Machine(machine) => self.add_machine(machine)?,
                Line::Sample(sample) => self.samples.push(sample),
                Line::Profile(profile) => self.profiles.push(profile),
                Line::Memory(memory) => self.memory = Some(memory),
            }
        }
        Ok(())
    }

    fn add_machine(&mut self, machine: Machine) -> Result<()> {
        let first = self.machine.get_or_insert_with(|| machine.clone());
        ensure!(*first == machine, "boots differ: {first:?}, {machine:?}");
        Ok(())
    }

    pub(super) fn machine(&self) -> Result<&Machine> {
        self.machine.as_ref().context("no boot said what it is")
    }

    pub(super) fn memory(&self) -> Option<&Memory> {
        self.memory.as_ref()
    }

    /// How often everything was measured at least.
    pub(super) fn runs(&self) -> usize {
        let times = |one: &Sample| self.of(&one.case, &one.configuration).count();
        self.samples.iter().map(times).min().unwrap_or(0)
    }

    /// Microseconds for each call.
    pub(super) fn spread(&self, case: &str, configuration: &str) -> Result<Spread> {
        Spread::of(self.of(case, configuration).map(|one| one.micros).collect())
            .with_context(|| format!("{case} under {configuration}"))
    }

    /// How the medians compare.
    pub(super) fn ratio(&self, case: &str, configuration: &str, base: &str) -> Result<f64> {
        let (this, base) = (self.spread(case, configuration)?, self.spread(case, base)?);
        Ok(this.median / base.median)
    }

    /// The most that any run counted.
    pub(super) fn most(&self, case: &str, configuration: &str, of: fn(&Sample) -> u64) -> u64 {
        self.of(case, configuration).map(of).max().unwrap_or(0)
    }

    pub(super) fn profile(&self, case: &str, configuration: &str) -> Option<&Profile> {
        self.profiles.iter().find(|one| one.case == case && one.configuration == configuration)
    }

    fn of<'a>(
        &'a self,
        case: &'a str,
        configuration: &'a str,
    ) -> impl Iterator<Item = &'a Sample> + 'a {
        self.samples
            .iter()
            .filter(move |one| one.case == case && one.configuration == configuration)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One run of each case: the microseconds under each configuration.
    pub(in super::super) fn results(of: &[(&str, &str, f64)]) -> Results {
        let sample = |(case, configuration, micros): &(&str, &str, f64)| {
            format!(
                r#"{{"kind":"sample","case":"{case}","configuration":"{configuration}",
                "micros":{micros},"events":4,"cached":3,"decided":2,"lost":1}}"#
            )
            .replace('\n', "")
        };
        let lines: Vec<String> = of.iter().map(sample).collect();
        let mut results = Results::default();
        results.add(&lines.join("\n")).unwrap();
        results
    }

    #[test]
    fn every_kind_of_line_is_read_and_nothing_else() {
        let mut results = results(&[("open", "none", 2.0)]);
        results.add(r#"{"kind":"machine","kernel":"6.12","processors":2,"clock":"wall"}"#).unwrap();
        let memory =
            r#"{"kind":"memory","maps":1.5,"Slab":2,"KernelStack":16,"PageTables":4,"caches":[]}"#;
        results.add(memory).unwrap();
        let program = r#"{"name":"p","runs":1.0,"micros":0.5}"#;
        let profile = r#"{"kind":"profile","case":"open","configuration":"attached","programs":"#;
        results.add(&format!("{profile}[{program}]}}")).unwrap();
        assert_eq!(results.machine().unwrap().processors, 2);
        assert!((results.memory().unwrap().total() - 23.5).abs() < 1e-9);
        assert_eq!(results.profile("open", "attached").unwrap().programs[0].name, "p");
        assert!(results.add("Traceback").is_err());
        let other = r#"{"kind":"machine","kernel":"6.12","processors":2,"clock":"instructions"}"#;
        assert!(results.add(other).is_err());
    }

    #[test]
    fn what_was_not_measured_is_no_figure() {
        let results = results(&[("open", "none", 2.0), ("open", "ima", 3.0)]);
        assert!((results.ratio("open", "ima", "none").unwrap() - 1.5).abs() < 1e-9);
        assert!(results.ratio("open", "tomoyo", "none").is_err());
        assert!(results.memory().is_none());
        assert_eq!(results.runs(), 1);
    }
}
