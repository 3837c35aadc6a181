//! `quixote man`: the manual pages, for those who package quixote.

use std::fs;
use std::path::Path;

use crate::arguments::Arguments;
use crate::exit::Status;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::output;

pub(crate) fn run(directory: Option<&Path>) -> Outcome<Status> {
    if let Some(directory) = directory {
        fs::create_dir_all(directory).or_fail(directory.display())?;
        clap_mangen::generate_to(Arguments::definition(), directory)
            .or_fail(directory.display())?;
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Arguments::definition()).render(&mut page)?;
        output::print(&String::from_utf8_lossy(&page))?;
    }
    Ok(Status::SUCCESS)
}
