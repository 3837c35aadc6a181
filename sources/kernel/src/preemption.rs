//! Kernels on which a task's own memory may not be found.
//!
//! Before Linux 6.3 a look-up in task storage gives up while another task of the same processor is within one
//! (`bpf_task_storage_trylock` in `kernel/bpf/bpf_task_storage.c`). It can only be within one where the kernel preempts
//! itself everywhere; a task of a namespace would then now and then pass for one outside.

use std::fs;

use portable_source::release;

/// The first release whose look-ups never fail so.
const MENDED: (u32, u32) = (6, 3);

/// Whether tasks may pass for others here.
pub fn loses_tasks() -> bool {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let name = read("/proc/sys/kernel/osrelease");
    let kernel = Kernel {
        version: &read("/proc/version"),
        command_line: &read("/proc/cmdline"),
        mode: &read("/sys/kernel/debug/sched/preempt"),
        configuration: &read(&format!("/boot/config-{}", name.trim())),
    };
    release::of_kernel() < MENDED && kernel.preempts_everywhere()
}

/// What says how a kernel preempts itself; what cannot be read is empty.
struct Kernel<'a> {
    version: &'a str,
    command_line: &'a str,
    /// `none voluntary (full)`, of kernels that can be told at boot.
    mode: &'a str,
    configuration: &'a str,
}

impl Kernel<'_> {
    fn preempts_everywhere(&self) -> bool {
        let built = |word| self.version.split_whitespace().any(|each| each == word);
        if built("PREEMPT_RT") || built("PREEMPT") {
            return true;
        }
        if !built("PREEMPT_DYNAMIC") {
            return false;
        }
        if !self.mode.is_empty() {
            return self.mode.contains("(full)");
        }
        let mut asked =
            self.command_line.split_whitespace().filter_map(|word| word.strip_prefix("preempt="));
        match asked.next_back() {
            Some(mode) => mode == "full",
            None => self.configuration.lines().any(|line| line == "CONFIG_PREEMPT=y"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: Kernel<'_> = Kernel {
        version: "Linux version 6.1.0-57-amd64 (gcc-12) #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-3",
        command_line: "root=/dev/vda1 quiet",
        mode: "none (voluntary) full ",
        configuration: "CONFIG_PREEMPT_VOLUNTARY=y\n# CONFIG_PREEMPT is not set\n",
    };

    #[test]
    fn a_kernel_that_can_be_told_says_how_it_preempts() {
        let everywhere = |kernel: Kernel<'_>| kernel.preempts_everywhere();
        assert!(!everywhere(DEBIAN));
        assert!(everywhere(Kernel { mode: "none voluntary (full) ", ..DEBIAN }));
        assert!(!everywhere(Kernel { mode: "", ..DEBIAN }));
        assert!(everywhere(Kernel {
            mode: "",
            command_line: "preempt=none preempt=full",
            ..DEBIAN
        }));
        assert!(everywhere(Kernel { mode: "", configuration: "CONFIG_PREEMPT=y\n", ..DEBIAN }));
    }

    #[test]
    fn a_kernel_that_cannot_be_told_is_what_it_was_built_to_be() {
        let everywhere = |version| Kernel { version, mode: "", ..DEBIAN }.preempts_everywhere();
        assert!(everywhere("Linux version 6.1.0 #1 SMP PREEMPT_RT Debian 6.1"));
        assert!(everywhere("Linux version 6.1.0 #1 SMP PREEMPT Fri"));
        assert!(!everywhere("Linux version 6.1.0 #1 SMP Fri"));
    }
}
