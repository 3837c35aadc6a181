//! What the programs cost the kernel's verifier: instructions that it looked at, program by program.
//!
//! A kernel refuses what costs more than a million, and a small change of C can multiply it; so the
//! figures are kept (`conformance/verifier_cost.json`) and compared.
#![allow(
    unsafe_code,
    reason = "the kernel's account of a program: libbpf's safe layer has no such call"
)]

use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;

use libbpf_rs::Object;
use libbpf_rs::OpenObject;
use libbpf_rs::libbpf_sys;
use libbpf_rs::skel::OpenSkel;
use libbpf_rs::skel::Skel;
use libbpf_rs::skel::SkelBuilder;

use crate::full_programs;
use crate::lockdown;
use crate::programs;
use crate::programs::KernelError;

/// Octets of an instruction.
const INSTRUCTION: u32 = 8;

/// What a program came to when it was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Its name; those of the profile `full` begin with `full_`.
    pub program: String,
    /// Instructions that the verifier looked at.
    pub verified: u32,
    /// Instructions that it has, as loaded.
    pub instructions: u32,
}

/// Loads all three sets without attaching them, and asks the kernel.
///
/// # Errors
///
/// The kernel refuses a program.
pub fn measure() -> Result<Vec<Cost>, KernelError> {
    let mut storage = MaybeUninit::<OpenObject>::uninit();
    let open = programs::skeleton::MainSkelBuilder::default().open(&mut storage);
    let mut open = open.map_err(KernelError::Refused)?;
    programs::choose_by_kernel(&mut open)?;
    let mut costs = costs_of(open.load().map_err(KernelError::Refused)?.object_mut())?;
    let mut storage = MaybeUninit::<OpenObject>::uninit();
    let open = full_programs::skeleton::FullSkelBuilder::default().open(&mut storage);
    let mut open = open.map_err(KernelError::Refused)?;
    full_programs::leave_out(open.open_object_mut())?;
    costs.extend(costs_of(open.load().map_err(KernelError::Refused)?.object_mut())?);
    let mut storage = MaybeUninit::<OpenObject>::uninit();
    let open = lockdown::skeleton::LockdownSkelBuilder::default().open(&mut storage);
    let mut open = open.map_err(KernelError::Refused)?;
    lockdown::choose_by_kernel(&mut open)?;
    costs.extend(costs_of(open.load().map_err(KernelError::Refused)?.object_mut())?);
    costs.sort_by(|one, other| one.program.cmp(&other.program));
    Ok(costs)
}

fn costs_of(object: &mut Object) -> Result<Vec<Cost>, KernelError> {
    let loaded = object.progs().filter(libbpf_rs::ProgramImpl::autoload);
    loaded
        .map(|program| {
            let name = program.name().to_string_lossy().into_owned();
            let (verified, instructions) = account(program.as_fd().as_raw_fd())?;
            Ok(Cost { program: name, verified, instructions })
        })
        .collect()
}

fn account(program: i32) -> Result<(u32, u32), KernelError> {
    // SAFETY: all zeros is a valid value of the structure, which the kernel fills in.
    let mut info: libbpf_sys::bpf_prog_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libbpf_sys::bpf_prog_info>() as u32;
    // SAFETY: structure and length outlive the call and belong together.
    let status =
        unsafe { libbpf_sys::bpf_prog_get_info_by_fd(program, &raw mut info, &raw mut length) };
    if status != 0 {
        return Err(KernelError::Refused(libbpf_rs::Error::from_raw_os_error(-status)));
    }
    Ok((info.verified_insns, info.xlated_prog_len / INSTRUCTION))
}
